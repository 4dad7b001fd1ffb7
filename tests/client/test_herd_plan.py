"""A herd file over a server: what differs, whose it is, and what is never touched."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from ctherd.client.herd_plan import RouterPlan, as_answer, mark_of, plan_herd, unsafe
from ctherd.client.routers import RemoteHelper, RemoteRouter
from ctherd.herdfile.parse import Herd, parse_herd
from ctherd.model.assignment import Assignment, AssignmentId, parse_prefix
from ctherd.model.catalog import Protocol
from ctherd.model.document import NetnsName
from ctherd.model.router import HostName, Placement
from ctherd.plan.safety import Limits

HERE = HostName("here")


def herd(*routers: str) -> Herd:
    text = "version: 1\nrouters: [" + ", ".join(routers) + "]\n"
    return parse_herd(text, "herd.yaml", of_hosts=True)


def router(name: str, helpers: str = "", host: str = "", netns: str = "") -> str:
    place = f"host: {host}, " if host else ""
    return f"{{name: {name}, {place}netns: {netns or name}, helpers: [{helpers}]}}"


FTP = "{helper: ftp, protocol: tcp, port: 21}"
TFTP = "{helper: tftp, protocol: udp, port: 69}"
SIP_THERE = "{helper: sip, protocol: udp, port: 5060, destinations: [203.0.113.0/24]}"


def remote(
    name: str,
    assignments: Iterable[tuple[str, str, int]] = (),
    *,
    mark: str = mark_of(HERE),
    host: str = HERE,
) -> RemoteRouter:
    made = [
        Assignment(AssignmentId(f"{name}-{port}"), helper, Protocol(protocol), port)
        for helper, protocol, port in assignments
    ]
    helpers = {each.key: RemoteHelper(each) for each in made}
    place = Placement(HostName(host), NetnsName(name))
    return RemoteRouter(f"id-of-{name}", name, mark, (place,), helpers)


def words(plan: RouterPlan) -> list[str]:
    changes = [f"{each.verb} {each.key}" for each in plan.changes]
    return [*(step.split()[0].strip(":") for step in plan.steps()), *changes]


def planned(given: Herd, *found: RemoteRouter, partial: bool = False) -> dict[str, list[str]]:
    return {each.name: words(each) for each in plan_herd(given, HERE, found, partial=partial)}


def test_what_the_server_lacks_is_made_and_what_is_equal_is_left() -> None:
    """A router with its helpers comes; a second plan over the result is empty."""
    file = herd(router("edge", f"{FTP}, {TFTP}"))
    assert planned(file) == {"edge": ["create", "create tcp/21 ftp", "create udp/69 tftp"]}
    there = remote("edge", [("ftp", "tcp", 21), ("tftp", "udp", 69)])
    assert planned(file, there) == {"edge": []}


def test_what_left_the_file_goes_unless_it_is_partial() -> None:
    """A file is complete: its routers and helpers that it omits are removed, and no others."""
    there = remote("edge", [("ftp", "tcp", 21)])
    left = remote("left", [("tftp", "udp", 69)])
    alien = remote("alien", [("ftp", "tcp", 21)], mark="")
    other_hosts = remote("other", [("ftp", "tcp", 21)], mark=mark_of(HostName("elsewhere")))
    file = herd(router("edge"))
    assert planned(file, there, left, alien, other_hosts) == {
        "edge": ["delete tcp/21 ftp"],
        "left": ["delete", "delete udp/69 tftp"],
    }
    assert planned(file, there, left, partial=True) == {"edge": ["delete tcp/21 ftp"]}


def test_removals_come_before_what_they_make_room_for() -> None:
    """Two helpers on one port exclude each other: the old one goes first."""
    there = remote("edge", [("sip", "udp", 69)])
    assert planned(herd(router("edge", TFTP)), there) == {
        "edge": ["delete udp/69 sip", "create udp/69 tftp"]
    }


def test_other_destinations_are_a_replacement() -> None:
    """The helper keeps its id, and no packet crosses a gap."""
    there = remote("edge", [("sip", "udp", 5060)])
    (plan,) = plan_herd(herd(router("edge", SIP_THERE)), HERE, [there], partial=False)
    assert words(plan) == ["replace udp/5060 sip"]
    assert plan.changes[0].after == (parse_prefix("203.0.113.0/24"),)


def test_what_shall_become_of_flows_is_a_change_of_its_own() -> None:
    """A plan names what differs and what is wanted; what is equal is no change."""
    there = remote("edge", [("ftp", "tcp", 21), ("tftp", "udp", 69)])
    killing = FTP.replace("}", ", on_revoke: kill, adopt_flows: true}")
    plans = plan_herd(herd(router("edge", f"{killing}, {TFTP}")), HERE, [there], partial=False)
    (change,) = as_answer(plans)["routers"][0]["changes"]
    assert (change["change"], change["helper"]) == ("replace", "ftp")
    assert change["why"] == "on the server with other on_revoke, adopt_flows"
    assert (change["on_revoke"], change["adopt_flows"]) == ("kill", True)
    made = plan_herd(herd(router("edge", killing)), HERE, [], partial=False)
    (change,) = as_answer(made)["routers"][0]["changes"]
    assert (change["change"], change["on_revoke"]) == ("create", "kill")


def test_an_alias_is_what_it_stands_for() -> None:
    """h323 in the file and Q.931 on the server are one assignment."""
    there = remote("edge", [("Q.931", "tcp", 1720)])
    file = herd(router("edge", "{helper: h323, protocol: tcp, port: 1720}"))
    assert planned(file, there) == {"edge": []}


def test_a_router_of_the_same_name_that_is_not_ours_is_left_alone() -> None:
    """It is reported, with a cure, and nothing of it is changed."""
    alien = remote("edge", [("tftp", "udp", 69)], mark="made by hand")
    plans = plan_herd(herd(router("edge", FTP)), HERE, [alien], partial=False)
    assert [words(each) for each in plans] == [[]]
    (told,) = as_answer(plans)["routers"]
    assert "id-of-edge" in told["error"]["what"]
    assert told["error"]["cure"]


def test_a_router_goes_where_the_file_says() -> None:
    """A named host counts, the default otherwise; another place is a move."""
    file = herd(router("edge", host="node-2"), router("core"))
    plans = {each.name: each for each in plan_herd(file, HERE, [remote("edge")], partial=False)}
    assert plans["edge"].placement == ("node-2", "edge")
    assert plans["edge"].moves
    assert plans["core"].placement == (HERE, "core")
    assert words(plans["edge"]) == ["move"]


def test_unusually_much_is_dangerous() -> None:
    """A file that was cut off does not clean a server without being asked about it."""
    there = [remote(f"r{number}", [("ftp", "tcp", 21)]) for number in range(3)]
    plans = plan_herd(herd(router("r0", FTP)), HERE, there, partial=False)
    assert unsafe(plans, Limits()) is not None
    assert (
        unsafe(plan_herd(herd(router("r0", FTP)), HERE, there[:2], partial=False), Limits()) is None
    )


@given(st.sets(st.sampled_from(["a", "b", "c"])), st.sets(st.sampled_from(["a", "b", "c"])))
def test_nothing_without_the_mark_is_ever_changed(declared: set[str], alien: set[str]) -> None:
    """Whatever the file says, a router of somebody else has no change and no step."""
    file = herd(*(router(name, FTP) for name in sorted(declared)))
    found = [remote(name, [("tftp", "udp", 69)], mark="x") for name in sorted(alien)]
    for plan in plan_herd(file, HERE, found, partial=False):
        if plan.name in alien:
            assert not plan.changes and not list(plan.steps())
