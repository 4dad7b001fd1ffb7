"""The survey's judgement is what the kernel does: one packet decides, with conntrack as witness."""

import socket
from collections.abc import Callable

import pytest

from ctherd.dataplane.finding import FindingKind
from ctherd.dataplane.survey import survey
from ctherd.lab.namespace import Namespace
from ctherd.netlink.dialogue import Dialogue
from ctherd.netns.enter import entered

pytestmark = pytest.mark.root

Send = Callable[[], str]

OURS = """
table inet ctherd {
  ct helper h { type "sip" protocol udp; }
  chain output {
    type filter hook output priority -150
    udp dport 69 ct helper set "h"
  }
}
"""


def native(priority: int, rule: str = 'udp dport 69 ct helper set "h"') -> str:
    return f"""
table inet theirs {{
  ct helper h {{ type "tftp" protocol udp; }}
  chain c {{
    type filter hook output priority {priority}
    {rule}
  }}
}}
"""


@pytest.fixture
def send(netns: Namespace) -> Send:
    """A function that sends to TFTP's port and returns what conntrack says of that flow."""
    commands = (
        "link add wan type veth peer name far",
        "link set far up",
        "link set wan up",
        "address add 192.0.2.1/24 dev wan",
    )
    netns.run(["ip", "-batch", "-"], input="\n".join(commands))

    def one_packet() -> str:
        with netns.opened() as netns_fd, entered(netns_fd):
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sender:
            sender.sendto(b"x", ("192.0.2.9", 69))
        return netns.run(["conntrack", "-L", "-p", "udp"]).stdout

    return one_packet


def kinds(netns: Namespace, dialogue: Dialogue) -> list[FindingKind]:
    with netns.opened() as netns_fd:
        return [each.kind for each in survey(dialogue, netns_fd)]


@pytest.mark.parametrize(
    ("priority", "kind", "winner"),
    [
        (-300, FindingKind.HELPER_WITHOUT_EFFECT, "sip"),
        (-201, FindingKind.HELPER_WITHOUT_EFFECT, "sip"),
        # Conntrack was hooked before this chain was: with the order reversed it would work.
        (-200, FindingKind.HELPER_WITHOUT_EFFECT, "sip"),
        (-199, FindingKind.HELPER_FIRST, "tftp"),
        (-150, FindingKind.HELPER_FIRST, "tftp"),
        (-149, FindingKind.HELPER_LATER, "sip"),
        (-100, FindingKind.HELPER_AFTER_NAT, "sip"),
    ],
)
def test_who_wins_is_judged_as_the_kernel_does(
    netns: Namespace,
    netns_dialogue: Dialogue,
    send: Send,
    priority: int,
    kind: FindingKind,
    winner: str,
) -> None:
    """A native rule that is younger than ours, at each side of each border."""
    netns.nft(OURS)
    netns.nft(native(priority))
    assert kinds(netns, netns_dialogue) == [kind]
    assert f"helper={winner}" in send()


@pytest.mark.parametrize("program", ["iptables-nft", "iptables-legacy"])
def test_a_raw_rule_wins(
    netns: Namespace, netns_dialogue: Dialogue, send: Send, program: str
) -> None:
    """The target CT works before conntrack, where a native rule does not."""
    netns.nft(OURS)
    rule = "OUTPUT -p udp --dport 69 -j CT --helper tftp"
    netns.run([program, "-t", "raw", "-A", *rule.split()])
    assert kinds(netns, netns_dialogue) == [FindingKind.HELPER_FIRST]
    assert "helper=tftp" in send()


@pytest.mark.parametrize(("priority", "untracked"), [(-300, True), (-200, True), (-199, False)])
def test_notrack_works_until_conntrack(
    netns: Namespace, netns_dialogue: Dialogue, send: Send, priority: int, untracked: bool
) -> None:
    """Afterwards the rule is not worth a word."""
    netns.nft(OURS)
    netns.nft(native(priority, "udp dport 69 notrack"))
    assert kinds(netns, netns_dialogue) == [FindingKind.UNTRACKED] * untracked
    assert ("dport=69" not in send()) == untracked
