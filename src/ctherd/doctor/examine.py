"""The examination: gather the evidence, ask every check, and say so where nothing is wrong."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ctherd.dataplane.iptables.variant import Variant
from ctherd.dataplane.modules import HelperModules
from ctherd.doctor.diagnosis import Diagnosis, Severity
from ctherd.doctor.evidence import (
    DescribePort,
    HostEvidence,
    RouterEvidence,
    look_at_host,
    look_at_router,
)
from ctherd.doctor.host import HOST_CHECKS
from ctherd.doctor.router import ROUTER_CHECKS, subject_of
from ctherd.model.document import Document, NetnsName
from ctherd.model.observation import Tag
from ctherd.netns.directory import NetnsDirectory


def examine(
    directory: NetnsDirectory,
    documents: Sequence[Document] = (),
    *,
    modules: HelperModules | None = None,
    proc: Path = Path("/proc"),
    tags: Mapping[NetnsName, Tag] | None = None,
    describe_port: DescribePort = lambda _, port: f"netlink port {port}",
    variant: Variant | None = None,
) -> list[Diagnosis]:
    """Examine this host, and the router of each of *documents*; nothing is changed.

    Shape: *tags* are our marks as the journal has them; without, any mark of a ctherd passes for
    ours. *describe_port* turns the netlink address of a table's owner into words; *variant* is the
    iptables that makes assignments true here, None if nftables does.
    """
    host = look_at_host(directory, documents, modules or HelperModules(), proc)
    diagnoses = list(judge_host(host))
    for document in documents:
        router = look_at_router(directory, document, proc, tags, describe_port, variant)
        diagnoses += judge_router(router)
    return diagnoses


def judge_host(evidence: HostEvidence) -> Iterator[Diagnosis]:
    """Ask every check of the host."""
    for check in HOST_CHECKS:
        yield from check(evidence)


def judge_router(evidence: RouterEvidence) -> list[Diagnosis]:
    """Ask every check of a router."""
    found = [diagnosis for check in ROUTER_CHECKS for diagnosis in check(evidence)]
    if any(diagnosis.severity.is_wrong for diagnosis in found) or evidence.problem:
        return found
    healthy = Diagnosis(Severity.OK, subject_of(evidence.document), "nothing stands in the way")
    return [*found, healthy]
