"""Puts the parts of one host together; nothing is decided here."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ctherd.dataplane.circumstances import read_circumstances
from ctherd.dataplane.conntrack import picks_up_connections
from ctherd.dataplane.finding import Finding
from ctherd.dataplane.iptables.kernel import has_any_legacy_table
from ctherd.dataplane.iptables.names import chain_of
from ctherd.dataplane.iptables.variant import Variant
from ctherd.dataplane.modules import HelperModules
from ctherd.dataplane.revoker import FlowRevoker
from ctherd.dataplane.succession import HostDataplane
from ctherd.dataplane.survey import survey
from ctherd.errors import CtherdError, PrivilegeMissing
from ctherd.guard.decide import Guard
from ctherd.journal.evidence import EvidenceFiles
from ctherd.journal.sqlite import SqliteJournal
from ctherd.journal.state_dir import StateDirectory
from ctherd.main.config import Config
from ctherd.main.dataplanes import Choice, build, choose, unusable_here
from ctherd.main.surroundings import Surroundings
from ctherd.model.document import NetnsName
from ctherd.model.evidence import Circumstances
from ctherd.model.observation import Tag
from ctherd.netlink.dialogue import Dialogue
from ctherd.netns.directory import NetnsDirectory
from ctherd.netns.open_files import allow_most
from ctherd.ports import Journal, Revocation
from ctherd.service.evidence import EvidenceBook
from ctherd.service.host import HostService
from ctherd.service.shadow import MemoryJournal

__all__ = ["Host", "flow_revoker", "netns_directory", "opened"]


@dataclass(frozen=True, slots=True)
class Host:
    """The parts that an agent or a command works with."""

    directory: NetnsDirectory
    dataplane: HostDataplane
    choice: Choice
    journal: Journal
    service: HostService


def netns_directory(path: Path, *, leave_room: bool = True) -> NetnsDirectory:
    """Return the netns directory at *path*.

    Raises: PrivilegeMissing, also where the kernel has no netfilter netlink at all.
    """
    try:
        return NetnsDirectory(path, leave_room=leave_room)
    except OSError as error:
        raise PrivilegeMissing(
            f"netfilter cannot be spoken to: {error.strerror}",
            cure="needs a kernel with nf_tables, and not to be shut in without netlink",
        ) from error


@contextmanager
def opened(config: Config, *, stays: bool, changes: bool = True) -> Iterator[Host]:
    """Open the state directory, lock it, and wire everything to it.

    Shape: with *changes* false nothing is made: a host without a journal has an empty one.
    Raises: Busy, JournalError, PrivilegeMissing.
    """
    allow_most()
    directory = netns_directory(config.netns_dir)
    if not changes and not (config.state_dir / "journal.sqlite").exists():
        yield _wire(config, directory, MemoryJournal({}), stays=stays)
        return
    with StateDirectory(config.state_dir) as state:
        journal = SqliteJournal(state.journal)
        try:
            yield _wire(config, directory, journal, stays=stays)
        finally:
            journal.close()


def _wire(config: Config, directory: NetnsDirectory, journal: Journal, *, stays: bool) -> Host:
    choice = choose(config, unusable_here)
    dataplane = build(choice.name, directory, own_table=config.own_table)
    dataplane.narrow(config.policy.scope)
    service = HostService(
        dataplane,
        journal,
        Guard(config.policy),
        config.max_removals,
        nat_missing=HelperModules().nat_missing,
        look_around=lambda netns, keys: look(netns).around(keys, service.scope),
        find_trouble=lambda netns, keys: look(netns).trouble(keys),
        chosen=choice._asdict(),
        revoker=flow_revoker(config),
        stays=stays,
        evidence=_evidence(config, directory, dataplane),
    )

    def look(netns: NetnsName) -> Surroundings:
        entry = service.reconciler.entries.get(netns)
        tag = None if entry is None else entry.tag
        return Surroundings(netns, directory, dataplane.dialogue(netns), choice, tag)

    return Host(directory, dataplane, choice, journal, service)


def _evidence(config: Config, directory: NetnsDirectory, dataplane: HostDataplane) -> EvidenceBook:
    def look(netns: NetnsName, tag: Tag | None) -> Circumstances:
        dialogue = dataplane.dialogue(netns)
        our_chain = "" if tag is None else chain_of(tag)
        with directory.held(netns) as fd:
            (cookie,) = dataplane.identify([netns])
            if isinstance(cookie, CtherdError):
                raise cookie
            return read_circumstances(dialogue, cookie, fd, our_chain=our_chain)

    def generation(netns: NetnsName) -> int:
        return dataplane.dialogue(netns).generation()

    return EvidenceBook(EvidenceFiles(config.state_dir), look, generation)


def needs_iptables_legacy(host: Host) -> bool:
    """Tell whether iptables-legacy is used, or may still hold what was made here before."""
    if host.choice.variant is Variant.LEGACY:
        return True
    return any(_has_legacy_table(host.directory, netns) for netns in host.journal.load())


def _has_legacy_table(directory: NetnsDirectory, netns: NetnsName) -> bool:
    try:
        with directory.held(netns) as fd:
            return has_any_legacy_table(fd)
    except (CtherdError, OSError):
        return False


def flow_revoker(config: Config) -> FlowRevoker:
    """Return what revokes in the namespaces of *config*, in whichever thread it is called.

    Raises: PrivilegeMissing.
    """
    # It works in a thread, so it needs a directory whose buffer it has for itself. Where open files
    # have run out, a netns can only be let go of when what it owes is paid.
    directory = netns_directory(config.netns_dir, leave_room=False)

    def rivals(revocation: Revocation, dialogue: Dialogue) -> tuple[Finding, ...]:
        ours = "" if revocation.tag is None else chain_of(revocation.tag)
        with directory.held(revocation.netns) as fd:
            return survey(dialogue, fd, is_our_chain=lambda chain: chain == ours)

    def picks_up(netns: NetnsName) -> bool:
        with directory.held(netns) as fd:
            return picks_up_connections(fd)

    return FlowRevoker(directory, rivals, picks_up)
