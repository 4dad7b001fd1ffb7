"""Reports of agents: what may be said is taken as it is, and nothing else is."""

import copy
import json
from importlib.resources import files
from typing import Any

import pytest

from ctherd.errors import InvalidDeclaration
from ctherd.model.catalog import Family
from ctherd.model.status import State
from ctherd.service.report import read_report
from ctherd.signing.statements import Version

VERDICT = {"status": "active", "reason": "", "since": "2026-01-01T00:00:00.000Z"}
REPORT: dict[str, Any] = {
    "agent": {
        "version": "0.1.0",
        "capabilities": {"guards": True},
        "keys": ["a"],
        "in_sync": True,
        "kept": [{"router": "r3", "netns": "n3", "reason": "no tombstone"}],
    },
    "routers": [
        {
            "router": "r1",
            "netns": "n1",
            "version": [1, 2],
            "assignments": {"h1": {"families": {"ipv4": VERDICT}, "remark": "IPv4 only"}},
        }
    ],
    "withdrawn": [{"router": "r2", "netns": "n2", "version": [1, 9]}],
    "refused": [{"router": "r4", "netns": "n4", "reason": "not signed"}],
    "happenings": [
        {
            "what": "repaired",
            "router": "r1",
            "netns": "n1",
            "when": "2026-01-01T00:00:00.000Z",
            "ms": 1.5,
            "words": "create tcp/21 ftp",
        }
    ],
}


def test_a_report_is_taken_as_it_is() -> None:
    """Every part arrives, documents under the names that hosts have for them."""
    report = read_report(copy.deepcopy(REPORT))
    assert report.agent == {
        "version": "0.1.0",
        "capabilities": {"guards": True},
        "keys": ["a"],
        "in_sync": True,
    }
    assert [each.id for each in report.kept] == ["r3/n3"]
    ((fare,), (withdrawn,), (refused,)) = report.fares, report.withdrawn, report.refused
    assert (fare.id, fare.version) == ("r1/n1", Version(1, 2))
    assert fare.assignments == REPORT["routers"][0]["assignments"]
    assert (withdrawn.id, withdrawn.version) == ("r2/n2", Version(1, 9))
    assert (refused.id, refused.reason) == ("r4/n4", "not signed")
    assert report.happenings[0].ms == 1.5


def test_a_heartbeat_is_a_report() -> None:
    """An agent with nothing to tell says who it is."""
    assert read_report({"agent": {}}).fares == ()


def _with(*path: str | int, value: Any) -> dict[str, Any]:
    report = copy.deepcopy(REPORT)
    at: Any = report
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return report


@pytest.mark.parametrize(
    "given",
    [
        None,
        [],
        {},
        _with("agent", value=[]),
        _with("agent", "root", value=True),
        _with("agent", "version", value="x" * 2001),
        _with("agent", "capabilities", value={"a": {"b": {}}}),
        _with("more", value=1),
        _with("routers", value={}),
        _with("routers", 0, "router", value="a/b"),
        _with("routers", 0, "netns", value=""),
        _with("routers", 0, "version", value=[1]),
        _with("routers", 0, "version", value=[1, "2"]),
        _with("routers", 0, "version", value=[True, 2]),
        _with("routers", 0, "assignments", "h1", "families", "ipv5", value=VERDICT),
        _with("routers", 0, "assignments", "h1", "families", "ipv4", "status", value="fine"),
        _with("routers", 0, "assignments", "h1", "families", "ipv4", "reason", value=None),
        _with("refused", value=[REPORT["refused"][0]] * 1001),
        _with("happenings", 0, "what", value="exploded"),
        _with("happenings", 0, "ms", value=-1),
        _with("happenings", 0, "ms", value=float("nan")),
        _with("happenings", 0, "netns", value="\ud800"),
    ],
)
def test_anything_else_is_refused(given: Any) -> None:
    """Whatever a host sends, the server takes it as a whole or not at all."""
    with pytest.raises(InvalidDeclaration, match="no report"):
        read_report(given)


def test_the_schema_knows_the_words_of_the_model() -> None:
    """A new state or family is not forgotten there."""
    text = files("ctherd.service").joinpath("report.schema.json").read_text(encoding="utf-8")
    known = json.loads(text)["$defs"]
    assert known["verdict"]["properties"]["status"]["enum"] == [each.value for each in State]
    families = known["assignment"]["properties"]["families"]["properties"]
    assert list(families) == [each.value for each in Family]


def test_what_was_verified_may_be_said() -> None:
    """When and how; an agent that knows of no evidence says neither, and that is a report too."""
    said = copy.deepcopy(REPORT)
    families = said["routers"][0]["assignments"]["h1"]["families"]
    families["ipv4"] = {**VERDICT, "verified_at": VERDICT["since"], "verified_by": "probe"}
    (fare,) = read_report(said).fares
    assert fare.assignments["h1"]["families"] == families
    families["ipv4"]["verified_by"] = "hearsay"
    with pytest.raises(InvalidDeclaration):
        read_report(said)
