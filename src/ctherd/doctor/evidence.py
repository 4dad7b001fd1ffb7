"""What the doctor looks at, gathered once and as plain values; nothing is judged here.

What cannot be read is None, and what went wrong is kept in the kernel's own words: a doctor that
falls ill helps nobody.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from errno import EIO
from os import close
from pathlib import Path
from typing import Final

from ctherd.dataplane.conntrack import table_load
from ctherd.dataplane.finding import Finding
from ctherd.dataplane.iptables import neighbour
from ctherd.dataplane.iptables.variant import Variant
from ctherd.dataplane.modules import HelperModules
from ctherd.dataplane.nftables.observe import read_table
from ctherd.dataplane.nftables.probe import Probed, can_guard, probe_helpers
from ctherd.dataplane.survey import survey
from ctherd.doctor.interfaces import Wiring, wiring
from ctherd.errors import CtherdError, DataplaneError, PrivilegeMissing
from ctherd.model.catalog import HELPERS, Family, Helper
from ctherd.model.document import Document, NetnsName
from ctherd.model.observation import Tag
from ctherd.netlink.ctnetlink import Statistics
from ctherd.netlink.dialogue import Dialogue
from ctherd.netlink.nf_tables_read import Table
from ctherd.netns.directory import NetnsDirectory
from ctherd.netns.enter import entered

DescribePort = Callable[[NetnsName, int], str]


@dataclass(frozen=True, slots=True)
class Kernel:
    """What this kernel answered in a scratch netns.

    Shape: *nf_tables* and *ctnetlink* are "" where they answer, else its words; *helpers* and
    *guards* mean nothing without nf_tables.
    """

    nf_tables: str = ""
    ctnetlink: str = ""
    helpers: tuple[Probed, ...] = ()
    guards: bool = True


@dataclass(frozen=True, slots=True)
class HostEvidence:
    """What concerns every router of this host.

    Shape: *capabilities* is the effective set as a bit mask; *kernel* None could not be asked;
    *nat_missing* names helpers that are loaded without their translating half.
    """

    documents: tuple[Document, ...] = ()
    capabilities: int | None = None
    kernel: Kernel | None = None
    directory: Path = Path("/run/netns")
    directory_exists: bool = True
    nat_missing: tuple[Helper, ...] = ()


@dataclass(frozen=True, slots=True)
class RouterEvidence:
    """What concerns one router.

    Shape: *problem* says why nothing (more) could be read; *holder* describes who has claimed our
    table; *tag* is our mark there, None if we have none, *marks_known* false if nobody could say;
    *assigns_itself* is the old sysctl, None on kernels without it.
    """

    document: Document
    problem: CtherdError | None = None
    wired: Wiring | None = None
    forwards: Mapping[Family, bool] = field(default_factory=dict)
    assigns_itself: bool | None = None
    load: Statistics | None = None
    table: Table | None = None
    holder: str = ""
    tag: Tag | None = None
    marks_known: bool = False
    findings: tuple[Finding, ...] = ()


_FORWARDING: Final = {
    Family.IPV4: "sys/net/ipv4/ip_forward",
    Family.IPV6: "sys/net/ipv6/conf/all/forwarding",
}
_ASSIGNS_ITSELF: Final = "sys/net/netfilter/nf_conntrack_helper"


# -- the host --------------------------------------------------------------------------------------


def look_at_host(
    directory: NetnsDirectory, documents: Sequence[Document], modules: HelperModules, proc: Path
) -> HostEvidence:
    """Gather what concerns every router."""
    kernel = _kernel(directory)
    # To answer, the kernel has loaded what it could: what lacks its other half shows now.
    modules.refresh()
    return HostEvidence(
        documents=tuple(documents),
        capabilities=_capabilities(proc),
        kernel=kernel,
        directory=directory.path,
        directory_exists=directory.path.is_dir(),
        nat_missing=tuple(each for each in HELPERS if modules.nat_missing(each)),
    )


def _capabilities(proc: Path) -> int | None:
    for line in (_read(proc / "self/status") or "").splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            return int(value, 16)
    return None


def _kernel(directory: NetnsDirectory) -> Kernel | None:
    try:
        return _ask_kernel(directory)
    except PrivilegeMissing:
        return None
    except OSError as error:
        return Kernel(nf_tables=error.strerror or str(error))


def _ask_kernel(directory: NetnsDirectory) -> Kernel:
    scratch = directory.scratch()
    try:
        dialogue = Dialogue(scratch.transport, scratch.name)
        nf_tables = _words_of(dialogue.generation)
        ctnetlink = _words_of(lambda: table_load(dialogue))
    finally:
        scratch.close()
    if nf_tables:
        return Kernel(nf_tables, ctnetlink)
    try:
        guards = can_guard(directory.scratch())
        return Kernel("", ctnetlink, tuple(probe_helpers(directory.scratch())), guards)
    except DataplaneError as error:
        return Kernel(nf_tables=error.words)


def _words_of(ask: Callable[[], object]) -> str:
    try:
        ask()
    except DataplaneError as error:
        return error.words
    return ""


# -- a router --------------------------------------------------------------------------------------


def look_at_router(
    directory: NetnsDirectory,
    document: Document,
    proc: Path,
    tags: Mapping[NetnsName, Tag] | None,
    describe_port: DescribePort,
    variant: Variant | None = None,
) -> RouterEvidence:
    """Gather what concerns the router of *document*."""
    try:
        namespace = directory.open(document.netns)
    except CtherdError as error:
        return RouterEvidence(document, problem=error)
    try:
        netns_fd = directory.open_fd(document.netns)
        try:
            dialogue = Dialogue(namespace.transport, document.netns)
            found = _look_inside(document, dialogue, netns_fd, proc, describe_port)
            others = () if variant is None else tuple(neighbour.find(netns_fd, variant, proc))
        finally:
            close(netns_fd)
        found = replace(found, findings=(*found.findings, *others))
        tag = None if tags is None else tags.get(document.netns)
        return replace(found, tag=tag, marks_known=tags is not None)
    except CtherdError as error:
        return RouterEvidence(document, problem=error)
    except OSError as error:
        problem = DataplaneError("examine", netns=document.netns, errno=error.errno or EIO)
        return RouterEvidence(document, problem=problem)
    finally:
        namespace.close()


def _look_inside(
    document: Document,
    dialogue: Dialogue,
    netns_fd: int,
    proc: Path,
    describe_port: DescribePort,
) -> RouterEvidence:
    load = None
    with suppress(DataplaneError):
        # No ctnetlink: the host's evidence says so.
        load = table_load(dialogue)
    with entered(netns_fd):
        forwards = {
            family: value == "1"
            for family, path in _FORWARDING.items()
            if (value := _read(proc / path)) is not None
        }
        assigns_itself = _read(proc / _ASSIGNS_ITSELF)
    table = read_table(dialogue)
    return RouterEvidence(
        document,
        wired=wiring(netns_fd),
        forwards=forwards,
        assigns_itself=None if assigns_itself is None else assigns_itself == "1",
        load=load,
        table=table,
        holder=describe_port(document.netns, table.owner) if table and table.owner else "",
        findings=survey(dialogue, netns_fd, proc=proc),
    )


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return None
