"""What a dump mentions, found without decoding what a router has scores of."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctherd.dataplane.neutron import may_have_chains
from ctherd.errors import RemoteProtocolError
from ctherd.lab.namespace import Namespace
from ctherd.netlink import nf_tables as nft
from ctherd.netlink import wire
from ctherd.netlink.dialogue import Dialogue, Question
from ctherd.netlink.nf_tables import Operation

CHAINS = Question(nft.kind(Operation.GETCHAIN), 0, b"", "GETCHAIN")
RULES = Path(__file__).parent / "iptables" / "rulesets" / "neutron.rules"


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


@pytest.mark.root
@pytest.mark.parametrize("program", ["iptables-nft-restore", "ip6tables-nft-restore"])
def test_what_neutrons_extension_left_is_suspected(
    netns: Namespace, netns_dialogue: Dialogue, program: str
) -> None:
    """In either family; other chains of the L3 agent are no suspects, nor is another table."""
    left = RULES.read_text() if program.startswith("iptables") else _raw(RULES.read_text())
    others = "\n".join(line for line in left.splitlines() if "-cth" not in line)
    netns.run([program], input=f"{others}\n")
    netns.nft("add table ip x-cth\nadd chain ip x-cth a-cth\nadd rule ip x-cth a-cth accept")
    assert not may_have_chains(netns_dialogue)
    netns.run([program], input=left)
    assert may_have_chains(netns_dialogue)


@pytest.mark.root
def test_a_chain_that_nothing_reaches_any_more_is_suspected(
    netns: Namespace, netns_dialogue: Dialogue
) -> None:
    """By the rule that is in it."""
    netns.run(["iptables-nft-restore"], input=RULES.read_text())
    netns.run(["iptables-nft", "-t", "raw", "-F", "neutron-l3-agent-cth"])
    netns.run(["iptables-nft", "-t", "raw", "-F", "neutron-l3-agent-PREROUTING"])
    netns.run(["iptables-nft", "-t", "raw", "-X", "neutron-l3-agent-cth"])
    assert may_have_chains(netns_dialogue)


def _raw(rules: str) -> str:
    return rules.partition("COMMIT\n")[0] + "COMMIT\n"
