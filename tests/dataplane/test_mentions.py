"""What a dump mentions, found without decoding what a router has scores of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctherd.errors import RemoteProtocolError
from ctherd.lab.namespace import Namespace
from ctherd.netlink import nf_tables as nft
from ctherd.netlink import wire
from ctherd.netlink.dialogue import Dialogue, Question
from ctherd.netlink.nf_tables import Operation

CHAINS = Question(nft.kind(Operation.GETCHAIN), 0, b"", "GETCHAIN")


@given(st.lists(st.binary(max_size=9), min_size=1, max_size=5))
def test_the_last_message_is_found_by_the_lengths_of_the_others(bodies: list[bytes]) -> None:
    """As if all of them had been decoded."""
    datagram = b"".join(
        wire.message(7, 0, number, body.ljust(-(-len(body) // 4) * 4, b"\0"))
        for number, body in enumerate(bodies)
    )
    *_, last = wire.messages(memoryview(datagram))
    assert wire.last(memoryview(datagram)) == last


@pytest.mark.parametrize("datagram", [b"", b"\0" * 16, b"\xff" * 16, b"\x10\0\0\0" + b"\0" * 8])
def test_a_length_that_does_not_fit_is_an_error(datagram: bytes) -> None:
    """And never an endless loop."""
    with pytest.raises(RemoteProtocolError, match="does not fit"):
        wire.last(memoryview(datagram))


@pytest.mark.root
def test_one_name_among_hundreds_is_found(netns: Namespace, netns_dialogue: Dialogue) -> None:
    """Over many datagrams; and the next question gets its own answer."""
    names = [f"chain-{number:04}" for number in range(1500)]
    lines = "\n".join(f"add chain ip raw {name}" for name in names)
    netns.nft(f"add table ip raw\n{lines}")
    assert not netns_dialogue.dump_mentions(CHAINS, b"-cth")
    netns.run(["nft", "add chain ip raw a-cth"])
    assert netns_dialogue.dump_mentions(CHAINS, b"-cth")
    assert netns_dialogue.dump_mentions(CHAINS, b"chain-0000")
    assert netns_dialogue.generation() == 3
