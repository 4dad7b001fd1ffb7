"""The checks of the host: each is one question, answered from the evidence alone."""

from collections.abc import Callable, Iterator
from typing import Final

from ctherd.dataplane.nftables.probe import Probed
from ctherd.doctor.diagnosis import HOST, Diagnosis, Severity
from ctherd.doctor.evidence import HostEvidence
from ctherd.model import document as model
from ctherd.model.catalog import Protocol

_CAPABILITIES: Final = {
    "CAP_NET_ADMIN": (12, Severity.ERROR, "nothing can be read from, or written to, the kernel"),
    "CAP_SYS_ADMIN": (21, Severity.ERROR, "no network namespace can be entered"),
    "CAP_NET_BROADCAST": (
        11,
        Severity.WARNING,
        "the agent cannot hear the events of all namespaces on one socket",
    ),
}


def privileges(evidence: HostEvidence) -> Iterator[Diagnosis]:
    """Tell whether this process has the capabilities that ctherd needs."""
    held = evidence.capabilities
    if held is None:
        yield Diagnosis(Severity.NOTE, HOST, "the capabilities of this process cannot be read")
        return
    missing = {name: each for name, each in _CAPABILITIES.items() if not held >> each[0] & 1}
    for name, (_, severity, why) in missing.items():
        yield Diagnosis(severity, HOST, f"this process lacks {name}", why, "sudo ctherd doctor")
    if not missing:
        yield _ok("privileges suffice")


def nf_tables(evidence: HostEvidence) -> Iterator[Diagnosis]:
    """Tell whether the kernel speaks nf_tables."""
    kernel = evidence.kernel
    if kernel is None:
        yield Diagnosis(
            Severity.ERROR,
            HOST,
            "the kernel could not be asked what it can do",
            "that takes a scratch network namespace, which this process may not make",
            "sudo ctherd doctor",
        )
    elif kernel.nf_tables:
        yield Diagnosis(
            Severity.ERROR,
            HOST,
            "the kernel has no nf_tables",
            f"it answers: {kernel.nf_tables}",
            "modprobe nf_tables",
        )
    else:
        yield _ok("the kernel has nf_tables")


def conntrack(evidence: HostEvidence) -> Iterator[Diagnosis]:
    """Tell whether the kernel tracks connections, and says so over netlink."""
    kernel = evidence.kernel
    if kernel is None:
        return
    if kernel.ctnetlink:
        yield Diagnosis(
            Severity.ERROR,
            HOST,
            "the kernel has no conntrack, or does not speak of it",
            f"it answers: {kernel.ctnetlink}",
            "modprobe nf_conntrack_netlink",
        )
    else:
        yield _ok("the kernel has conntrack")


def helpers(evidence: HostEvidence) -> Iterator[Diagnosis]:
    """Tell which helpers the kernel lacks, of those declared or, if none are, of all."""
    kernel = evidence.kernel
    if kernel is None or kernel.nf_tables:
        return
    declared = _declared(evidence)
    asked = [each for each in kernel.helpers if not declared or _key(each) in declared]
    lacking = [each for each in asked if not each.families]
    none_at_all = len(lacking) == len(asked)
    for each in lacking:
        yield Diagnosis(
            Severity.ERROR if declared or none_at_all else Severity.NOTE,
            HOST,
            f"the kernel lacks helper {each.helper.name} on {each.protocol}",
            f"it answers: {each.words}",
            f"modprobe {each.helper.module}",
        )
    for each in asked:
        absent = set(each.helper.families) - each.families
        if each.families and absent:
            yield Diagnosis(
                Severity.NOTE,
                HOST,
                f"the kernel has helper {each.helper.name} on {each.protocol} for "
                f"{' and '.join(sorted(each.families))} only",
            )
    if not lacking:
        yield _ok(f"the kernel has {'the declared' if declared else 'all'} helpers")


def guard(evidence: HostEvidence) -> Iterator[Diagnosis]:
    """Tell whether the kernel can refuse everybody else's changes to our table."""
    kernel = evidence.kernel
    if kernel is None or kernel.nf_tables:
        return
    if kernel.guards:
        yield _ok("the kernel can guard tables for their owner")
        return
    yield Diagnosis(
        Severity.NOTE,
        HOST,
        "the kernel cannot guard our tables",
        "that takes Linux 6.9 (table flag persist): here others can change them, and the agent "
        "repairs them after the event",
    )


def nat_halves(evidence: HostEvidence) -> Iterator[Diagnosis]:
    """Tell which loaded helpers lack their translating half."""
    declared = {helper for helper, _ in _declared(evidence)}
    for helper in evidence.nat_missing:
        if declared and helper.name not in declared:
            continue
        yield Diagnosis(
            Severity.WARNING if declared else Severity.NOTE,
            HOST,
            f"helper {helper.name} is loaded without {helper.nat_module}",
            "it is active, and yet broken under NAT: the kernel does not load this half by itself; "
            "modules-load.d/ctherd.conf of the package does at boot",
            f"modprobe {helper.nat_module}",
        )


def netns_directory(evidence: HostEvidence) -> Iterator[Diagnosis]:
    """Tell whether the directory is there in which network namespaces are mounted."""
    if evidence.directory_exists:
        yield _ok(f"network namespaces are looked for in {evidence.directory}")
        return
    needed = any(each.netns != model.HOST for each in evidence.documents)
    yield Diagnosis(
        Severity.WARNING if needed else Severity.NOTE,
        HOST,
        f"there is no directory {evidence.directory}",
        "it appears with the first `ip netns add`, and the agent waits for it",
    )


HOST_CHECKS: Final[tuple[Callable[[HostEvidence], Iterator[Diagnosis]], ...]] = (
    privileges,
    nf_tables,
    conntrack,
    helpers,
    guard,
    nat_halves,
    netns_directory,
)


def _ok(what: str) -> Diagnosis:
    return Diagnosis(Severity.OK, HOST, what)


def _declared(evidence: HostEvidence) -> set[tuple[str, Protocol]]:
    return {(key.helper, key.protocol) for each in evidence.documents for key in each.desired}


def _key(probed: Probed) -> tuple[str, Protocol]:
    return probed.helper.name, probed.protocol
