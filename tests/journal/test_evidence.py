"""Evidence on disk: what was put is read again, and what cannot be read counts as none."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from ctherd.errors import InvalidDeclaration
from ctherd.journal.evidence import EvidenceFiles, as_data, from_data
from ctherd.model.assignment import ANY, AssignmentKey, Destinations
from ctherd.model.catalog import Family, Protocol
from ctherd.model.document import NetnsName
from ctherd.model.evidence import Circumstances, Evidence, Proof, Result, stale_because

FTP = AssignmentKey(Protocol.TCP, 21, "ftp")
THEN = Circumstances("boot", 7, 3, "abc")
SOME = (ip_network("203.0.113.0/24"),)


def evidence(family: Family = Family.IPV4, destinations: Destinations = ANY) -> Evidence:
    return Evidence(
        FTP,
        family,
        destinations,
        Result.PROVEN,
        Proof.PARTIAL,
        "expects tcp",
        ("an ipset",),
        "2026-01-01T00:00:00.000Z",
        "6.18",
        THEN,
    )


def test_what_was_put_is_read_again(tmp_path: Path) -> None:
    """By another process; of each netns the last word."""
    netns, other = NetnsName("n1"), NetnsName("n2")
    EvidenceFiles(tmp_path).put(netns, [evidence()])
    EvidenceFiles(tmp_path).put(netns, [evidence(), evidence(Family.IPV6, SOME)])
    EvidenceFiles(tmp_path).put(other, [evidence()])
    again = EvidenceFiles(tmp_path)
    assert again.load() == {
        netns: (evidence(), evidence(Family.IPV6, SOME)),
        other: (evidence(),),
    }
    again.keep_only({netns})
    assert EvidenceFiles(tmp_path).load().keys() == {netns}
    assert (tmp_path / "evidence").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("said", ["", "{", "[]", '{"format": 1, "evidence": [{}]}'])
def test_what_cannot_be_read_counts_as_none(tmp_path: Path, said: str) -> None:
    """It decides nothing, so it stops nothing; what else is there is read."""
    files = EvidenceFiles(tmp_path)
    files.put(NetnsName("n1"), [evidence()])
    files.put(NetnsName("n2"), [evidence()])
    (tmp_path / "evidence" / "n1.json").write_text(said)
    assert files.load().keys() == {"n2"}
    assert EvidenceFiles(tmp_path / "nowhere").load() == {}


def test_what_nobody_wrote_is_refused() -> None:
    """It may come over the control socket."""
    assert from_data(as_data(evidence())) == evidence()
    said = as_data(evidence())
    wrong: list[object] = [{}, [], said | {"result": "perhaps"}, said | {"found_in": [1]}]
    for given in wrong:
        with pytest.raises(InvalidDeclaration):
            from_data(given)


@pytest.mark.parametrize(
    ("destinations", "now", "why"),
    [
        (ANY, THEN._replace(generation=9), ""),
        (None, THEN, "the assignment"),
        (SOME, THEN, "the assignment"),
        (ANY, THEN._replace(boot="other"), "the machine"),
        (ANY, THEN._replace(cookie=8), "the network namespace"),
        (ANY, THEN._replace(ruleset="other"), "the ruleset"),
    ],
)
def test_what_makes_it_stale(
    destinations: Destinations | None, now: Circumstances, why: str
) -> None:
    """Everything that it depends on, and not the number of commits."""
    said = stale_because(evidence(), destinations, now)
    assert said.startswith(why) and bool(said) == bool(why)
