"""What the doctor says of the host."""

import errno
from dataclasses import replace
from pathlib import Path

import pytest

from ctherd.dataplane.modules import HelperModules
from ctherd.dataplane.nftables.probe import Probed
from ctherd.doctor.diagnosis import HOST, Diagnosis, Severity, as_data
from ctherd.doctor.evidence import HostEvidence, Kernel, look_at_host
from ctherd.doctor.examine import examine, judge_host
from ctherd.errors import PrivilegeMissing
from ctherd.lab.namespace import NETNS_DIR
from ctherd.model.catalog import HELPERS, Family, by_name
from ctherd.netns.directory import Namespace, NetnsDirectory
from ctherd.testing.modules import FakeModules
from tests.doctor.conftest import declare

WHOLE = tuple(
    Probed(helper, protocol, frozenset(helper.families), "")
    for helper in HELPERS
    for protocol in helper.protocols
)
ALL_CAPABILITIES = (1 << 41) - 1
HEALTHY = HostEvidence(capabilities=ALL_CAPABILITIES, kernel=Kernel(helpers=WHOLE))
EDGE = declare("q1", ("ftp", "tcp", 21))


def without(*names: str) -> tuple[Probed, ...]:
    """A kernel that refuses these helpers."""
    return tuple(
        each._replace(families=frozenset(), words="No such file or directory (ENOENT)")
        if each.helper.name in names
        else each
        for each in WHOLE
    )


def judged(evidence: HostEvidence, *severities: Severity) -> list[Diagnosis]:
    return [each for each in judge_host(evidence) if each.severity in severities]


def wrong(evidence: HostEvidence) -> list[Diagnosis]:
    return judged(evidence, Severity.WARNING, Severity.ERROR)


def test_a_healthy_host_is_praised_only() -> None:
    """Every check says that it looked, and none more."""
    assert {each.severity for each in judge_host(HEALTHY)} == {Severity.OK}
    assert len(list(judge_host(HEALTHY))) == 6


@pytest.mark.root
def test_this_host_is_healthy() -> None:
    """A root process on a kernel with everything built in has nothing to complain about."""
    said = examine(NetnsDirectory(NETNS_DIR))
    assert {each.severity for each in said} == {Severity.OK}
    assert {each.subject for each in said} == {HOST}


@pytest.mark.parametrize(
    ("bit", "name", "severity"),
    [
        (12, "CAP_NET_ADMIN", Severity.ERROR),
        (21, "CAP_SYS_ADMIN", Severity.ERROR),
        (11, "CAP_NET_BROADCAST", Severity.WARNING),
    ],
)
def test_a_missing_capability_is_named(bit: int, name: str, severity: Severity) -> None:
    """Without NET_BROADCAST ctherd works, but hears less."""
    (said,) = wrong(replace(HEALTHY, capabilities=ALL_CAPABILITIES & ~(1 << bit)))
    assert (said.severity, said.cure) == (severity, "sudo ctherd doctor")
    assert name in said.what


@pytest.mark.root
def test_capabilities_are_the_effective_ones(fake_proc: Path) -> None:
    """CapEff counts, whatever is permitted; a /proc that says nothing is a note."""

    def look() -> HostEvidence:
        return look_at_host(NetnsDirectory(NETNS_DIR), (), HelperModules(), fake_proc)

    assert look().capabilities is None
    (said,) = judged(look(), Severity.NOTE)
    assert "cannot be read" in said.what
    (fake_proc / "self").mkdir()
    (fake_proc / "self/status").write_text(
        "Name:\tctherd\nCapPrm:\t000001ffffffffff\nCapEff:\t0000000000001000\n", encoding="ascii"
    )
    assert look().capabilities == 1 << 12


def test_a_kernel_that_could_not_be_asked_is_an_error_with_a_cure() -> None:
    """Nothing is said of what is not known."""
    (said,) = wrong(replace(HEALTHY, kernel=None))
    assert "could not be asked" in said.what
    assert said.cure == "sudo ctherd doctor"


class Barred(NetnsDirectory):
    """A directory that may make no scratch netns, or cannot."""

    def __init__(self, path: Path, refusal: Exception) -> None:
        super().__init__(path)
        self.refusal = refusal

    def scratch(self) -> Namespace:
        raise self.refusal


@pytest.mark.parametrize(
    ("refusal", "what"),
    [
        (PrivilegeMissing("not permitted"), "could not be asked"),
        (OSError(errno.EPROTONOSUPPORT, "Protocol not supported"), "has no nf_tables"),
    ],
)
def test_a_kernel_that_refuses_a_scratch_netns_does_not_stop_the_doctor(
    tmp_path: Path, refusal: Exception, what: str
) -> None:
    """What can be said without it is said."""
    said = examine(Barred(tmp_path, refusal), [declare("q1", ("ftp", "tcp", 990))])
    assert any(what in each.what for each in said)
    assert any("FTPS" in each.what for each in said)


def test_a_kernel_without_nf_tables_says_so_once() -> None:
    """Helpers and guard follow from it, and are not complained about besides."""
    (said,) = wrong(replace(HEALTHY, kernel=Kernel(nf_tables="Invalid argument")))
    assert said.cure == "modprobe nf_tables"
    assert "Invalid argument" in said.why


def test_a_kernel_without_conntrack_says_so() -> None:
    """Its own words are passed on."""
    (said,) = wrong(replace(HEALTHY, kernel=Kernel("", "Invalid argument", WHOLE)))
    assert "conntrack" in said.what
    assert "Invalid argument" in said.why


def test_a_declared_helper_that_the_kernel_lacks_is_an_error() -> None:
    """Only what is declared matters, once something is."""
    kernel = Kernel(helpers=without("ftp", "sip"))
    (said,) = wrong(replace(HEALTHY, kernel=kernel, documents=(EDGE,)))
    assert said.severity is Severity.ERROR
    assert "ftp" in said.what
    assert said.cure == "modprobe nf_conntrack_ftp"


def test_helpers_that_nobody_declared_are_worth_a_note() -> None:
    """Not every kernel has every helper, but one without any cannot be of use."""
    evidence = replace(HEALTHY, kernel=Kernel(helpers=without("snmp")))
    assert wrong(evidence) == []
    assert "snmp" in judged(evidence, Severity.NOTE)[0].what
    nothing = replace(HEALTHY, kernel=Kernel(helpers=without(*(each.name for each in HELPERS))))
    assert {each.severity for each in wrong(nothing)} == {Severity.ERROR}


def test_a_helper_for_one_family_only_is_worth_a_note() -> None:
    """A kernel without IPv6 has IPv4 helpers, and silently."""
    halved = tuple(each._replace(families=frozenset((Family.IPV4,))) for each in WHOLE)
    evidence = replace(HEALTHY, kernel=Kernel(helpers=halved), documents=(EDGE,))
    assert wrong(evidence) == []
    (said,) = judged(evidence, Severity.NOTE)
    assert "ipv4 only" in said.what


def test_a_kernel_that_cannot_guard_is_worth_a_note() -> None:
    """Ctherd works on it all the same."""
    evidence = replace(HEALTHY, kernel=Kernel(helpers=WHOLE, guards=False))
    assert wrong(evidence) == []
    (said,) = judged(evidence, Severity.NOTE)
    assert "6.9" in said.why


def test_a_missing_nat_half_of_a_declared_helper_is_a_warning() -> None:
    """Of another helper it is nobody's concern; with nothing declared it is a note."""
    evidence = replace(HEALTHY, nat_missing=(by_name("ftp"), by_name("irc")))
    (said,) = wrong(replace(evidence, documents=(EDGE,)))
    assert said.cure == "modprobe nf_nat_ftp"
    assert wrong(evidence) == []
    assert len(judged(evidence, Severity.NOTE)) == 2


@pytest.mark.root
def test_a_missing_nat_half_is_seen_on_a_system_with_modules(tmp_path: Path) -> None:
    """The kernel loads what it is asked for, and not what that needs under NAT."""
    system = FakeModules(tmp_path, loaded=["nf_conntrack_ftp"], available=["nf_nat_ftp"])
    modules = HelperModules(system.root)

    def complaints() -> list[Diagnosis]:
        said = examine(NetnsDirectory(NETNS_DIR), [EDGE], modules=modules)
        return [each for each in said if "nf_nat_ftp" in each.what]

    (said,) = complaints()
    assert said.severity is Severity.WARNING
    assert system.load("nf_nat_ftp")
    assert complaints() == []


@pytest.mark.root
def test_a_missing_netns_directory_matters_if_something_is_declared_there(tmp_path: Path) -> None:
    """The agent waits for it; a declared host needs none."""
    absent = NetnsDirectory(tmp_path / "netns")

    def said(*documents: object) -> list[Severity]:
        found = examine(absent, documents)  # type: ignore[arg-type]
        return [each.severity for each in found if "no directory" in each.what]

    assert said() == [Severity.NOTE]
    assert said(EDGE) == [Severity.WARNING]
    assert said(declare("host", ("ftp", "tcp", 21))) == [Severity.NOTE]


def test_a_diagnosis_is_plain_data() -> None:
    """What `doctor -o json` prints."""
    assert as_data(Diagnosis(Severity.OK, HOST, "well")) == {
        "severity": "ok",
        "subject": {"router": "", "netns": "", "assignment": ""},
        "what": "well",
        "why": "",
        "cure": "",
    }
