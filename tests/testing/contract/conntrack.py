"""ctnetlink: flows and their helpers. What revocation can count on."""

import socket
import struct

import pytest

from tests.testing import raw
from tests.testing.contract.peer import Peer, World, acknowledged, errors
from tests.testing.raw import ACK, CREATE, CTNETLINK, CTNETLINK_EXP, DUMP, EXCL, IPV4, Answer

NEW, GET, DELETE, STATISTICS = 0, 1, 2, 5
CLIENT, SERVER = "192.0.2.1", "198.51.100.2"
HELPER_STATUS = 0x2000


def direction(kind: int, source: str, target: str, ports: tuple[int, int], l4: int = 6) -> bytes:
    """Pack one direction of a flow."""
    addresses = raw.nest(
        1, raw.attr(1, socket.inet_aton(source)), raw.attr(2, socket.inet_aton(target))
    )
    numbers = [raw.attr(2 + n, struct.pack(">H", port)) for n, port in enumerate(ports)]
    return raw.nest(kind, addresses, raw.nest(2, raw.attr(1, bytes((l4,))), *numbers))


def flow(port: int, kind: int = 1) -> bytes:
    """Pack the original direction of a flow from *port* of the client to FTP of the server."""
    return direction(kind, CLIENT, SERVER, (port, 21))


def helper(name: str) -> bytes:
    """Pack the helper of a flow; "" takes it away."""
    return raw.nest(5, raw.text(1, name))


def whole(port: int) -> bytes:
    """Pack what a new flow needs."""
    state = raw.nest(4, raw.nest(1, raw.attr(1, b"\3")))
    reply = direction(2, SERVER, CLIENT, (21, port))
    return flow(port) + reply + raw.be32(7, 300) + state


def expectation(port: int) -> bytes:
    """Pack an expectation of the flow from *port*."""
    awaited = direction(2, SERVER, CLIENT, (0, 4000 + port % 1000))
    mask = direction(3, "255.255.255.255", "255.255.255.255", (0, 65535))
    return flow(port) + awaited + mask + raw.be32(4, 60)


def tell(
    peer: Peer, op: int, body: bytes, flags: int = 0, subsystem: int = CTNETLINK
) -> list[Answer]:
    """Send one ctnetlink message that wants to be acknowledged."""
    return peer.ask(raw.message(subsystem << 8 | op, flags | ACK, 3, IPV4, body))


def code(answers: list[Answer]) -> str:
    """Return the name of the only error, or "" for an acknowledgement."""
    if acknowledged(answers) == [3]:
        return ""
    ((_, name),) = errors(answers)
    return name


def flows(peer: Peer, body: bytes = b"") -> dict[int, tuple[str, int]]:
    """Return source port → (helper, status) of the flows that a dump selects."""
    *listed, end = peer.ask(raw.message(CTNETLINK << 8 | GET, DUMP, 3, IPV4, body))
    assert end.kind == raw.DONE
    return {source_port(each): (helper_of(each), each.number(3)) for each in listed}


def source_port(answer: Answer) -> int:
    """Return the source port of a flow."""
    return int.from_bytes(raw.attributes(raw.attributes(answer.attributes[1])[2])[2], "big")


def helper_of(answer: Answer) -> str:
    """Return the helper of a flow, "" if it has none."""
    inner = raw.attributes(answer.attributes.get(5, b""))
    return inner.get(1, b"").rstrip(b"\0").decode()


def expectations(peer: Peer, body: bytes = b"") -> list[str]:
    """Return the helper of every expectation."""
    *listed, end = peer.ask(raw.message(CTNETLINK_EXP << 8 | GET, DUMP, 3, IPV4, body))
    assert end.kind == raw.DONE
    return [each.name(6) for each in listed]


def opened(world: World) -> Peer:
    """Return a peer that has made flow 1001 with helper ftp, and 1002 without."""
    peer = world.connect()
    assert code(tell(peer, NEW, whole(1001) + helper("ftp"), CREATE)) == ""
    assert code(tell(peer, NEW, whole(1002), CREATE)) == ""
    return peer


def test_flows_show_their_helper(world: World) -> None:
    """The helper's name, and a status bit that says that it was assigned."""
    found = flows(opened(world))
    assert {port: name for port, (name, _) in found.items()} == {1001: "ftp", 1002: ""}
    assert found[1001][1] & HELPER_STATUS
    assert not found[1002][1] & HELPER_STATUS


def test_a_helper_is_taken_away(world: World) -> None:
    """The empty name detaches: the flow lives, its expectations go, the status bit stays."""
    peer = opened(world)
    assert code(tell(peer, NEW, expectation(1001), CREATE, CTNETLINK_EXP)) == ""
    assert expectations(peer) == ["ftp"]
    assert code(tell(peer, NEW, flow(1001) + helper(""))) == ""
    assert flows(peer)[1001][0] == ""
    assert flows(peer)[1001][1] & HELPER_STATUS
    assert expectations(peer) == []


def test_taking_away_what_is_not_there_is_success(world: World) -> None:
    """Twice, or from a flow that never had one."""
    peer = opened(world)
    for port in (1001, 1001, 1002):
        assert code(tell(peer, NEW, flow(port) + helper(""))) == ""


@pytest.mark.parametrize(
    ("port", "name", "outcome"),
    [
        (1001, "ftp", ""),
        (1001, "irc", "EBUSY"),
        (1001, "bogus", "EOPNOTSUPP"),
        (1002, "ftp", "EOPNOTSUPP"),
    ],
)
def test_a_flow_cannot_get_another_helper(world: World, port: int, name: str, outcome: str) -> None:
    """Only the one it has; a flow that never had one gets none."""
    known = {outcome, "ENOTSUP"} if outcome == "EOPNOTSUPP" else {outcome}
    assert code(tell(opened(world), NEW, flow(port) + helper(name))) in known


def test_revocation_is_one_way(world: World) -> None:
    """What was taken away does not come back."""
    peer = opened(world)
    tell(peer, NEW, flow(1001) + helper(""))
    assert code(tell(peer, NEW, flow(1001) + helper("ftp"))) == "EBUSY"


def test_absent_flows_are_enoent(world: World) -> None:
    """Update, read and delete."""
    peer = opened(world)
    assert code(tell(peer, NEW, flow(9) + helper(""))) == "ENOENT"
    assert code(tell(peer, GET, flow(9))) == "ENOENT"
    assert code(tell(peer, DELETE, flow(9))) == "ENOENT"


def test_a_flow_is_made_once(world: World) -> None:
    """EXCL makes an existing one EEXIST; a helper that does not exist cannot be assigned."""
    peer = opened(world)
    assert code(tell(peer, NEW, whole(1001), CREATE | EXCL)) == "EEXIST"
    assert code(tell(peer, NEW, flow(1003), CREATE)) == "EINVAL"
    assert code(tell(peer, NEW, whole(1003) + helper("no"), CREATE)) in ("EOPNOTSUPP", "ENOTSUP")


def test_expectations_go_by_helper_or_by_master(world: World) -> None:
    """All of a helper in the netns; another helper's name deletes nothing and is success."""
    peer = opened(world)
    tell(peer, NEW, expectation(1001), CREATE, CTNETLINK_EXP)
    assert expectations(peer, flow(1001)) == ["ftp"]
    assert code(tell(peer, DELETE, raw.text(6, "sip"), 0, CTNETLINK_EXP)) == ""
    assert expectations(peer) == ["ftp"]
    assert code(tell(peer, DELETE, raw.text(6, "ftp"), 0, CTNETLINK_EXP)) == ""
    assert expectations(peer) == []
    tell(peer, NEW, expectation(1001), CREATE, CTNETLINK_EXP)
    assert code(tell(peer, DELETE, flow(1001))) == ""
    assert expectations(peer) == []


def test_the_kernel_filters_flows(world: World) -> None:
    """By parts of the original direction, and by status."""
    peer = opened(world)

    def to(port: int) -> bytes:
        wanted = raw.nest(1, raw.nest(2, raw.attr(1, b"\6"), raw.attr(3, struct.pack(">H", port))))
        flags = raw.attr(1, struct.pack("=I", 1 << 3 | 1 << 5)) + raw.attr(2, bytes(4))
        return wanted + raw.nest(25, flags)

    assert set(flows(peer, to(21))) == {1001, 1002}
    assert flows(peer, to(22)) == {}
    assigned = raw.be32(3, HELPER_STATUS) + raw.be32(26, HELPER_STATUS)
    assert set(flows(peer, assigned)) == {1001}


def child(port: int, name: str) -> bytes:
    """Pack a flow that the helper of the flow from *port* expected, with a helper of its own."""
    there = direction(1, SERVER, CLIENT, (20, 4000))
    back = direction(2, CLIENT, SERVER, (4000, 20))
    state = raw.nest(4, raw.nest(1, raw.attr(1, b"\3")))
    master = direction(14, CLIENT, SERVER, (port, 21))
    return there + back + raw.be32(7, 300) + state + master + (helper(name) if name else b"")


def test_a_child_names_its_master(world: World) -> None:
    """By the addresses and ports of its original direction; a status bit says that it has one."""
    peer = opened(world)
    assert code(tell(peer, NEW, child(1001, ""), CREATE)) == ""
    *listed, _ = peer.ask(raw.message(CTNETLINK << 8 | GET, DUMP, 3, IPV4, b""))
    masters = {source_port(each): each.attributes.get(14) for each in listed}
    assert masters[1001] is None
    named = raw.attributes(masters[20] or b"")
    by_name = {source_port(each): raw.attributes(each.attributes[1]) for each in listed}
    assert (named[1], named[2]) == (by_name[1001][1], by_name[1001][2])
    assert set(flows(peer, raw.be32(3, 1) + raw.be32(26, 1))) == {20}


def test_a_child_keeps_its_helper(world: World) -> None:
    """Whoever takes it away is told EBUSY."""
    peer = opened(world)
    assert code(tell(peer, NEW, child(1001, "ftp"), CREATE)) == ""
    named = direction(1, SERVER, CLIENT, (20, 4000))
    assert code(tell(peer, NEW, named + helper(""))) == "EBUSY"
    assert code(tell(peer, NEW, named + helper("ftp"))) == ""
    assert flows(peer)[20][0] == "ftp"


def test_a_filter_by_port_needs_a_family(world: World) -> None:
    """For all families at once it is EOPNOTSUPP."""
    wanted = raw.nest(1, raw.nest(2, raw.attr(1, b"\6"), raw.attr(3, struct.pack(">H", 21))))
    flags = raw.attr(1, struct.pack("=I", 1 << 3 | 1 << 5)) + raw.attr(2, bytes(4))
    request = wanted + raw.nest(25, flags)
    answers = opened(world).ask(raw.message(CTNETLINK << 8 | GET, DUMP, 3, 0, request))
    assert errors(answers) in ([(3, "EOPNOTSUPP")], [(3, "ENOTSUP")])


def test_an_identity_saves_a_younger_flow(world: World) -> None:
    """A deletion that names the identity of a flow removes none that has its place by then."""
    peer = opened(world)
    (seen,) = peer.ask(raw.message(CTNETLINK << 8 | GET, 0, 3, IPV4, flow(1001)))
    other = raw.attr(12, (seen.number(12) ^ 1).to_bytes(4, "big"))
    assert code(tell(peer, DELETE, flow(1001) + other)) == "ENOENT"
    assert code(tell(peer, DELETE, flow(1001) + raw.attr(12, seen.attributes[12]))) == ""
    assert set(flows(peer)) == {1002}


def test_one_flow_is_read(world: World) -> None:
    """The answer claims that more will come, but it does not."""
    peer = opened(world)
    (answer,) = peer.ask(raw.message(CTNETLINK << 8 | GET, 0, 3, IPV4, flow(1001)))
    assert helper_of(answer) == "ftp"
    assert answer.flags & raw.MULTI


def test_flows_are_counted(world: World) -> None:
    """The statistics tell how many there are, and how many there may be."""
    (answer,) = opened(world).ask(raw.message(CTNETLINK << 8 | STATISTICS, 0, 3, IPV4, b""))
    assert answer.number(1) == 2
    assert answer.number(2) > 2


def test_all_flows_are_deleted(world: World) -> None:
    """A deletion without a tuple flushes."""
    peer = opened(world)
    assert code(tell(peer, DELETE, b"")) == ""
    assert flows(peer) == {}
