"""Random batches from two processes, and what a kernel made of them, in comparable form."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.testing import raw
from tests.testing.contract.peer import Peer
from tests.testing.raw import APPEND, CREATE, EXCL, nft

Message = Callable[[int], bytes]
"""A message that still wants its sequence number."""

Connect = Callable[[], Peer]


@dataclass(frozen=True)
class Step:
    """One batch by process 0 or 1, or the end (and return) of that process."""

    process: int
    messages: tuple[tuple[int, int, bytes], ...]
    acknowledged: bool
    ends: bool


TABLES = st.sampled_from(["t", "u"])
CHAINS = st.sampled_from(["pre", "regular"])
MAPS = st.sampled_from(["m", "i"])
OBJECTS = st.sampled_from(["a", "b"])
HELPERS = st.sampled_from(["ftp", "irc", "tftp", "bogus"])
FLAGS = st.sampled_from([CREATE, CREATE, CREATE, 0, CREATE | EXCL])
NUMBERS = st.integers(0, 4)

Part = tuple[int, int, bytes]


def plain_key(number: int) -> bytes:
    return raw.key(6, 20 + number)


def interval(low: int, high: int, target: str | None) -> bytes:
    return raw.element(wide_key(low), target, wide_key(max(low, high)))


def wide_key(number: int) -> bytes:
    return raw.key(6, 0)[:4] + bytes((10, 0, 0, number)) + raw.key(21, 0)[:4]


@st.composite
def element_lists(draw: st.DrawFn, *, deletes: bool) -> Part:
    table, name = draw(TABLES), draw(MAPS)
    packed = []
    for _ in range(draw(st.integers(0 if deletes else 1, 3))):
        target = None if deletes else draw(OBJECTS)
        low, high = draw(NUMBERS), draw(NUMBERS)
        is_plain = name == "m"
        packed.append(
            raw.element(plain_key(low), target) if is_plain else interval(low, high, target)
        )
    op = draw(st.sampled_from([raw.DELELEM, 30])) if deletes else raw.NEWELEM
    return op, 0 if deletes else draw(FLAGS), raw.elements(table, name, *packed)


@st.composite
def sets(draw: st.DrawFn) -> Part:
    table, name = draw(TABLES), draw(MAPS)
    number = draw(NUMBERS)
    if name == "m":
        return raw.NEWSET, draw(FLAGS), raw.object_map(table, name, set_id=number)
    flags = raw.SET_INTERVAL | raw.SET_CONCAT
    body = raw.object_map(table, name, 12, flags=flags, fields=(1, 4, 1), set_id=number)
    return raw.NEWSET, draw(FLAGS), body


@st.composite
def rules(draw: st.DrawFn) -> Part:
    body = raw.lookup_rule(draw(TABLES), draw(CHAINS), draw(MAPS), set_id=draw(st.none() | NUMBERS))
    return raw.NEWRULE, draw(st.sampled_from([CREATE, CREATE | APPEND])), body


def jump(table: str) -> Part:
    """A rule in chain pre that jumps to the regular one."""
    verdict = raw.nest(2, raw.nest(2, raw.be32(1, -3), raw.text(2, "regular")))
    expressions = raw.nest(4, raw.expression("immediate", raw.be32(1, 0), verdict))
    body = raw.text(1, table) + raw.text(2, "pre") + expressions
    return raw.NEWRULE, CREATE | APPEND, body


def _chain(table: str, name: str, flags: int, policy: int) -> Part:
    hook = raw.PREROUTING if name == "pre" else None
    return raw.NEWCHAIN, flags, raw.chain(table, name, hook, policy=policy)


def messages() -> SearchStrategy[Part]:
    """Messages that often make sense together."""
    return st.one_of(
        st.builds(
            lambda name, flags, own: (raw.NEWTABLE, flags, raw.table(name, own)),
            TABLES,
            FLAGS,
            st.sampled_from([None, 0, 2, 4, 6, 6]),
        ),
        st.builds(
            lambda op, name: (op, 0, raw.table(name)), st.sampled_from([raw.DELTABLE, 26]), TABLES
        ),
        st.builds(_chain, TABLES, CHAINS, FLAGS, st.sampled_from([0, 1])),
        st.builds(
            lambda op, table, name: (op, 0, raw.text(1, table) + raw.text(3, name)),
            st.sampled_from([raw.DELCHAIN, 27]),
            TABLES,
            CHAINS,
        ),
        st.builds(
            lambda table, name, helper, l4, flags: (
                raw.NEWOBJ,
                flags,
                raw.helper_object(table, name, helper, l4),
            ),
            TABLES,
            OBJECTS,
            HELPERS,
            st.sampled_from([6, 6, 17]),
            FLAGS,
        ),
        st.builds(
            lambda op, table, name: (op, 0, raw.object_name(table, name)),
            st.sampled_from([raw.DELOBJ, 31]),
            TABLES,
            OBJECTS,
        ),
        sets(),
        st.builds(
            lambda op, table, name: (op, 0, raw.text(1, table) + raw.text(2, name)),
            st.sampled_from([raw.DELSET, 29, raw.DELRULE]),
            TABLES,
            MAPS,
        ),
        element_lists(deletes=False),
        element_lists(deletes=False),
        element_lists(deletes=True),
        rules(),
        st.builds(jump, TABLES),
        st.builds(
            lambda table, name: (raw.DELRULE, 0, raw.text(1, table) + raw.text(2, name)),
            TABLES,
            CHAINS,
        ),
    )


def ready(table: str) -> tuple[Part, ...]:
    """All that lets messages succeed."""
    wide = raw.object_map(
        table, "i", 12, flags=raw.SET_INTERVAL | raw.SET_CONCAT, fields=(1, 4, 1), set_id=2
    )
    return (
        (raw.NEWTABLE, CREATE, raw.table(table, 6)),
        _chain(table, "pre", CREATE, 1),
        (raw.NEWCHAIN, CREATE, raw.chain(table, "regular")),
        (raw.NEWOBJ, CREATE, raw.helper_object(table, "a", "ftp", 6)),
        (raw.NEWOBJ, CREATE, raw.helper_object(table, "b", "irc", 6)),
        (raw.NEWSET, CREATE, raw.object_map(table, "m", set_id=1)),
        (raw.NEWSET, CREATE, wide),
    )


def steps() -> SearchStrategy[list[Step]]:
    """Some batches, the first of which mostly makes a table to play with."""
    some = st.lists(messages(), min_size=1, max_size=5).map(tuple)
    step = st.builds(Step, st.integers(0, 1), some, st.booleans(), st.integers(0, 7).map(_is_zero))
    first = st.builds(Step, st.just(0), TABLES.map(ready), st.booleans(), st.just(False))
    return st.builds(lambda one, rest: [one, *rest], first, st.lists(step, max_size=8))


def _is_zero(number: int) -> bool:
    return number == 0


def record(connect: Connect, story: Sequence[Step]) -> list[object]:
    """Play *story* and return everything that can be compared between kernels."""
    witness, peers = connect(), [connect(), connect()]
    told: list[object] = []
    for step in story:
        before = witness.generation()
        if step.ends:
            peers[step.process].close()
            peers[step.process] = connect()
        else:
            told.append(_answers(peers[step.process], step))
        told.append(witness.generation() - before)
        told.append(state(witness, [peer.portid for peer in peers]))
    for peer in peers:
        peer.close()
    witness.do(nft(raw.DELTABLE, b"", family=0))
    witness.close()
    return told


def _answers(peer: Peer, step: Step) -> list[object]:
    packed = [
        nft(op, body, flags=flags | (raw.ACK if step.acknowledged else 0), seq=seq)
        for seq, (op, flags, body) in enumerate(step.messages, 1)
    ]
    answers = peer.ask(raw.batch(*packed, ack=step.acknowledged))
    return [(each.seq, each.errno, each.offset, each.words) for each in answers]


def state(witness: Peer, owners: list[int]) -> list[object]:
    """Return what all dumps show, without what may differ: handles, port ids, hash order."""
    shown: list[object] = []
    for answer in witness.dump(raw.GETTABLE):
        owner = owners.index(answer.number(7)) if 7 in answer.attributes else None
        shown.append((answer.name(1), answer.number(2), answer.number(3), owner))
    for answer in witness.dump(raw.GETCHAIN):
        kept = {kind: value for kind, value in answer.attributes.items() if kind != 2}
        shown.append(list(kept.items()))
    for answer in witness.dump(raw.GETRULE):
        shown.append([answer.attributes[kind] for kind in (1, 2, 4)])
    for answer in witness.dump(raw.GETOBJ):
        shown.append([answer.attributes[kind] for kind in (1, 2, 3, 4, 5)])
    for answer in witness.dump(raw.GETSET):
        shown.append([answer.attributes[kind] for kind in (1, 2, 3, 4, 5, 9, 15)])
        elements = witness.elements(answer.name(1), answer.name(2))
        shown.append(sorted(elements.items(), key=repr))
    return shown
