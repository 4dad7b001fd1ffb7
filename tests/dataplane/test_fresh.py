"""A new table as one ready batch: the very messages that are sent where one can be asked why."""

from hypothesis import given
from hypothesis import strategies as st

from ctherd.dataplane.nftables import fresh, render
from ctherd.model.assignment import ANY, Assignment, AssignmentKey, collapse, parse_prefix
from ctherd.model.catalog import Protocol
from ctherd.model.safe_scope import WIDE
from ctherd.netlink import nf_tables as nft
from ctherd.netlink import wire
from ctherd.netlink.nf_tables import TableFlag
from tests.model.strategies import assignments

GUARD = TableFlag.OWNER | TableFlag.PERSIST
TAG = "6d9df6a4-6f0c-44b4-9a4b-1b7a7d9f4f60"


def unnumbered(batch: bytes) -> list[tuple[int, int, bytes]]:
    """The messages of a batch without their sequence numbers."""
    found = wire.messages(memoryview(batch))
    return [(each.kind, each.flags, bytes(each.body)) for each in found]


@given(
    st.lists(assignments(), min_size=1, max_size=20),
    # `ctherd reclaim` takes over whatever mark it finds.
    st.one_of(st.just(TAG), st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)),
    st.sampled_from([GUARD, TableFlag(0)]),
    st.integers(1, 0xFFFFFFFF),
)
def test_it_is_what_render_would_send(
    declared: list[Assignment], tag: str, flags: TableFlag, generation: int
) -> None:
    """Nothing is made in another way because it is made faster."""
    target = {each.key: ANY for each in declared}
    steps = render.create(target, tag, flags, WIDE, one_by_one=False)
    careful = nft.batch([step.request for step in steps], generation)
    ready = fresh.batch(target, tag, flags, generation)
    assert ready is not None
    assert unnumbered(ready.encoded) == unnumbered(careful)
    assert set(ready.made) == {(key.helper, key.protocol) for key in target}


def test_all_its_messages_bear_one_number() -> None:
    """The envelope bears 0, so that no error can be taken for the acknowledgement."""
    ready = fresh.batch({AssignmentKey(Protocol.TCP, 21, "ftp"): ANY}, TAG, GUARD, 7)
    assert ready is not None
    first, *inner, last = [each.sequence for each in wire.messages(memoryview(ready.encoded))]
    assert (first, set(inner), last) == (0, {fresh.SEQUENCE}, 0)


def test_destinations_are_left_to_render() -> None:
    """They need maps of their own."""
    scoped = {AssignmentKey(Protocol.TCP, 21, "ftp"): collapse([parse_prefix("203.0.113.0/24")])}
    assert fresh.batch(scoped, TAG, GUARD, 7) is None
