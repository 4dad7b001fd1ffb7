"""Revoking a helper from 100 live flows among 10,000, against reading all of them once.

One netns holds 9,900 flows without a helper and 100 that were assigned ftp. In turns: the flows are
dumped raw, whole and without looking at them; 100 helpers are taken away by ready-made messages;
and a revocation is paid as after a commit, with its own socket, its filtered scans until one is
clean, the expectations before and after, and the scan for data connections. Between two of them,
untimed, the 100 flows are made anew, because a flow that lost its helper never gets one back. The
ratio is of what was measured in one turn, to two dumps and the 100 messages.

It does not say how long foreign rules take to be read, which is done where flows were found, nor
what the journal takes.
"""

from statistics import median
from typing import Final

from bench.flows import track
from bench.namespaces import crowd
from bench.row import Row
from bench.size import Size
from bench.timing import lap_s, median_ratio
from bench.world import World, opened
from ctherd.dataplane import flows
from ctherd.dataplane.revoker import FlowRevoker
from ctherd.model.assignment import ANY, AssignmentKey
from ctherd.model.catalog import Protocol
from ctherd.model.debt import Action, Debt
from ctherd.model.document import NetnsName
from ctherd.netlink import ctnetlink, wire
from ctherd.netlink.dialogue import Dialogue, Order, Question
from ctherd.netlink.transport import Transport
from ctherd.ports import Revocation, Revoked

_HELPED: Final = 100
_FTP: Final = AssignmentKey(Protocol.TCP, 21, "ftp")
_DEBT: Final = Debt(Action.DETACH, _FTP, ANY)
_ESTABLISHED: Final = wire.nested(4, wire.nested(1, wire.u8(1, 3)))
_SERVER: Final = "198.51.100.2"
_IPV4: Final = 2


def measure(size: Size) -> list[Row]:
    """Measure this figure."""
    with crowd(1) as (path, names), opened(path, names) as world:
        (netns,) = names
        dialogue = Dialogue(world.sockets[netns].transport, netns)
        _track(dialogue, size.tracked - _HELPED, port=80, helper="")
        turns = [_turn_s(world, netns, dialogue) for _ in range(size.rounds)]
    dumps, bare, revoked = zip(*turns, strict=True)
    allowed = [2 * dump + some for dump, some in zip(dumps, bare, strict=True)]
    what = f"{_HELPED} flows among {size.tracked}"
    return [
        Row(f"revoke the helper of {what}", median(revoked) * 1e3, "ms", 30),
        Row("the same ÷ (2 raw dumps + 100 messages)", median_ratio(revoked, allowed), "×", 1),
        Row(f"one raw dump of {size.tracked} flows", median(dumps) * 1e3, "ms"),
        Row(f"{_HELPED} bare messages", median(bare) * 1e3, "ms"),
    ]


def _turn_s(world: World, netns: NetnsName, dialogue: Dialogue) -> tuple[float, float, float]:
    _track(dialogue, _HELPED, port=21, helper="ftp")
    dump_s = lap_s(lambda: _dump(dialogue.transport))
    found = list(flows.with_helper(dialogue, [_DEBT]))
    orders = [Order(ctnetlink.CHANGE_FLOW, each.family, ctnetlink.detach(each)) for each in found]
    bare_s = lap_s(lambda: dialogue.carry_out_each(orders))
    flows.delete(dialogue, found)
    _track(dialogue, _HELPED, port=21, helper="ftp")
    revoker = FlowRevoker(world.directory, lambda *_: (), lambda _: True)
    cookie = world.sockets[netns].cookie
    outcomes: list[object] = []
    revocation = Revocation(netns, cookie, None, (_DEBT,), {})
    revoke_s = lap_s(lambda: outcomes.append(revoker.revoke(revocation)))
    (outcome,) = outcomes
    if not isinstance(outcome, Revoked) or outcome.settled[0].flows != _HELPED:
        raise AssertionError(outcome)
    left = (ctnetlink.flow(each) for each in _all(dialogue))
    flows.delete(dialogue, [each for each in left if each.port == _FTP.port])
    return dump_s, bare_s, revoke_s


def _all(dialogue: Dialogue) -> list[wire.Message]:
    question = Question(ctnetlink.GET_FLOWS, _IPV4, ctnetlink.addressed_to(6, _FTP.port), "list")
    return [
        each._replace(body=memoryview(bytes(each.body))) for each in dialogue.dump_any(question)
    ]


def _dump(transport: Transport) -> None:
    transport.send(wire.netfilter_message(ctnetlink.GET_FLOWS, wire.NLM_F_DUMP, 1, 0, b""))
    done = wire.NLMSG_DONE.to_bytes(2, "little")
    while transport.receive()[4:6] != done:
        pass


def _track(dialogue: Dialogue, count: int, *, port: int, helper: str) -> None:
    """Make *count* flows, each from another client to *port*."""
    assigned = wire.nested(5, wire.string(1, helper)) if helper else b""
    for index in range(count):
        client = f"10.{port}.{index >> 8}.{index & 255}"
        track(dialogue, (client, 2000), (_SERVER, port), 6, _ESTABLISHED + assigned)
