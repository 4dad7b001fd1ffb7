"""The checks of one router: each is one question, answered from the evidence alone."""

from collections.abc import Callable, Iterator
from shlex import quote
from typing import Final

from ctherd.dataplane.finding import Finding, FindingKind
from ctherd.dataplane.nftables import layout
from ctherd.doctor.diagnosis import Diagnosis, Severity, Subject
from ctherd.doctor.evidence import RouterEvidence
from ctherd.errors import NetnsAbsent, NetnsDirectoryAbsent
from ctherd.model.assignment import AssignmentKey
from ctherd.model.catalog import TLS_PORTS, Family, by_name
from ctherd.model.document import HOST, Document

_OWN_SOCKETS_ONLY: Final = frozenset({"netbios-ns"})
_NEARLY_FULL_PERCENT: Final = 90


# -- what is declared ------------------------------------------------------------------------------


def encrypted_ports(evidence: RouterEvidence) -> Iterator[Diagnosis]:
    """Tell which assignments are for a port whose protocol is encrypted."""
    for key in evidence.document.desired:
        if key.port in TLS_PORTS:
            yield Diagnosis(
                Severity.WARNING,
                _assignment(evidence, key),
                f"port {key.port} is {TLS_PORTS[key.port]}: no helper can read it",
                "the control channel is encrypted, so the helper will never expect anything",
            )


def own_sockets_only(evidence: RouterEvidence) -> Iterator[Diagnosis]:
    """Tell which assignments do nothing for what a router forwards."""
    for key in evidence.document.desired:
        if key.helper in _OWN_SOCKETS_ONLY:
            yield Diagnosis(
                Severity.NOTE,
                _assignment(evidence, key),
                f"helper {key.helper} does not serve forwarded traffic",
                by_name(key.helper).remark,
            )


# -- the netns -------------------------------------------------------------------------------------


def reachable(evidence: RouterEvidence) -> Iterator[Diagnosis]:
    """Tell whether the netns is there and could be read."""
    problem, netns = evidence.problem, evidence.document.netns
    if problem is None or isinstance(problem, NetnsDirectoryAbsent):
        return
    if isinstance(problem, NetnsAbsent):
        yield Diagnosis(
            Severity.WARNING,
            _subject(evidence),
            f"there is no network namespace {netns}",
            "its assignments are pending until it appears",
            f"ip netns add {quote(netns)}",
        )
        return
    yield Diagnosis(
        Severity.ERROR,
        _subject(evidence),
        f"the network namespace could not be examined: {problem.what}",
        problem.cure,
    )


def wired(evidence: RouterEvidence) -> Iterator[Diagnosis]:
    """Tell whether the netns has interfaces and addresses."""
    found = evidence.wired
    if found is None:
        return
    prefix = _inside(evidence)
    if not found.interfaces_up:
        yield Diagnosis(
            Severity.WARNING,
            _subject(evidence),
            "the network namespace is empty: no interface but loopback is up",
            "no packet can come through, and so none can get a helper",
            f"{prefix}ip link",
        )
    elif not found.addresses:
        yield Diagnosis(
            Severity.WARNING,
            _subject(evidence),
            "the network namespace is empty: it has no address",
            "it cannot be a hop for anybody",
            f"{prefix}ip address",
        )


def forwarding(evidence: RouterEvidence) -> Iterator[Diagnosis]:
    """Tell whether the netns forwards."""
    if evidence.forwards.get(Family.IPV4, True):
        return
    neither = not evidence.forwards.get(Family.IPV6, False)
    yield Diagnosis(
        Severity.NOTE,
        _subject(evidence),
        f"forwarding is off for {'IPv4 and IPv6' if neither else 'IPv4'}",
        "helpers serve only the connections of the network namespace itself",
        f"{_inside(evidence)}sysctl -w net.ipv4.ip_forward=1",
    )


def conntrack_room(evidence: RouterEvidence) -> Iterator[Diagnosis]:
    """Tell whether there is room for more connections."""
    load = evidence.load
    if load is None or not load.limit or load.entries * 100 <= load.limit * _NEARLY_FULL_PERCENT:
        return
    yield Diagnosis(
        Severity.WARNING,
        _subject(evidence),
        f"the conntrack table is nearly full: {load.entries} of {load.limit}",
        "new connections, and those that helpers expect, will be dropped",
        f"sysctl -w net.netfilter.nf_conntrack_max={2 * load.limit}",
    )


def automatic_assignment(evidence: RouterEvidence) -> Iterator[Diagnosis]:
    """Tell whether the kernel assigns helpers by itself."""
    if evidence.assigns_itself:
        yield Diagnosis(
            Severity.WARNING,
            _subject(evidence),
            "the kernel assigns helpers by itself (nf_conntrack_helper = 1)",
            "to everybody and on usual ports, whatever is declared",
            f"{_inside(evidence)}sysctl -w net.netfilter.nf_conntrack_helper=0",
        )


# -- what others have there ------------------------------------------------------------------------


def our_table(evidence: RouterEvidence) -> Iterator[Diagnosis]:
    """Tell whether the table of our name is ours."""
    table = evidence.table
    if table is None:
        return
    mark = layout.tag_of(table.comment)
    if mark and (mark == evidence.tag or not evidence.marks_known):
        return
    whose = f"bears the mark {mark}, which is not ours" if mark else "does not bear our mark"
    claimed = f" and is claimed by {evidence.holder}" if evidence.holder else ""
    yield Diagnosis(
        Severity.ERROR,
        _subject(evidence),
        f"table inet {layout.TABLE} {whose}{claimed}",
        "it is foreign and stays untouched: no assignment of this router can be made true",
        "" if claimed else f"{_inside(evidence)}nft delete table inet {layout.TABLE}",
    )


def foreign_things(evidence: RouterEvidence) -> Iterator[Diagnosis]:
    """Tell what others have here, and whether it defeats what is declared."""
    for finding in evidence.findings:
        severity, subject = _concern(evidence, finding)
        yield Diagnosis(
            severity,
            subject,
            str(finding),
            _WHY[finding.kind],
            _cure(evidence, finding),
        )


_WHY: Final = {
    FindingKind.HELPER_FIRST: "a connection keeps the first helper that it is given",
    FindingKind.HELPER_LATER: "",
    FindingKind.HELPER_AFTER_NAT: "the right priority is between conntrack (-200) and "
    "destination NAT (-100), for example -150",
    FindingKind.HELPER_WITHOUT_EFFECT: "the right priority is between conntrack (-200) and "
    "destination NAT (-100), for example -150, in a chain that packets reach",
    FindingKind.UNTRACKED: "helpers work on tracked connections only",
    FindingKind.LOOKALIKE: "",
    FindingKind.UNREADABLE: "a rule in it could win over what is declared",
    FindingKind.OTHER_VARIANT: "whoever manages this host may see only one of them; choose the "
    "dataplane that it uses, or remove the rules that nobody means any more",
}


def _concern(evidence: RouterEvidence, finding: Finding) -> tuple[Severity, Subject]:
    """Say how much *finding* matters here, and to whom.

    What gets in the way of nothing that is declared is worth a note.
    """
    if finding.kind in _ALWAYS_WRONG:
        return Severity.WARNING, _subject(evidence)
    defeated = [key for key in evidence.document.desired if _defeats(finding, key)]
    if not defeated:
        return Severity.NOTE, _subject(evidence)
    return Severity.WARNING, (
        _assignment(evidence, defeated[0]) if len(defeated) == 1 else _subject(evidence)
    )


_ALWAYS_WRONG: Final = frozenset(
    (
        FindingKind.HELPER_AFTER_NAT,
        FindingKind.HELPER_WITHOUT_EFFECT,
        FindingKind.UNREADABLE,
        FindingKind.OTHER_VARIANT,
    )
)


def _defeats(finding: Finding, key: AssignmentKey) -> bool:
    if not finding.scope.may_match(key.protocol, key.port):
        return False
    if finding.kind is FindingKind.HELPER_FIRST:
        return finding.helper != key.helper
    return finding.kind is FindingKind.UNTRACKED


def _cure(evidence: RouterEvidence, finding: Finding) -> str:
    if finding.kind is FindingKind.UNREADABLE:
        return "apt install iptables"
    return f"{_inside(evidence)}{finding.remove}" if finding.remove else ""


ROUTER_CHECKS: Final[tuple[Callable[[RouterEvidence], Iterator[Diagnosis]], ...]] = (
    encrypted_ports,
    own_sockets_only,
    reachable,
    wired,
    forwarding,
    conntrack_room,
    automatic_assignment,
    our_table,
    foreign_things,
)


def subject_of(document: Document) -> Subject:
    """Return the router of *document* as a subject."""
    return Subject(document.router, document.netns)


def _subject(evidence: RouterEvidence) -> Subject:
    return subject_of(evidence.document)


def _assignment(evidence: RouterEvidence, key: AssignmentKey) -> Subject:
    return Subject(evidence.document.router, evidence.document.netns, str(key))


def _inside(evidence: RouterEvidence) -> str:
    """Return what has to precede a command line so that it runs in the netns."""
    netns = evidence.document.netns
    return "" if netns == HOST else f"ip netns exec {quote(netns)} "
