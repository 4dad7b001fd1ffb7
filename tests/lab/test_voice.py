"""Voice through a router whose helper nft set up: what the far side is told, what is expected."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from ctherd.lab.case import Session
from ctherd.lab.exchanges import q931, ras, sip, sip_registration
from ctherd.lab.topology import Topology
from ctherd.model.catalog import Family, Protocol

pytestmark = pytest.mark.root

PORT = 15000
"""Not the usual one of any of them: exchanges take stations and ports as they come."""

Open = Callable[[Topology, Family], AbstractContextManager[Session]]

EXCHANGES: dict[str, tuple[str, Protocol, Open]] = {
    "sip over udp": (
        "sip",
        Protocol.UDP,
        lambda net, family: sip.session(net.client, net.server, family, PORT, Protocol.UDP),
    ),
    "sip over tcp": (
        "sip",
        Protocol.TCP,
        lambda net, family: sip.session(net.client, net.server, family, PORT, Protocol.TCP),
    ),
    "sip registration": (
        "sip",
        Protocol.UDP,
        lambda net, family: sip_registration.session(net.client, net.server, family, PORT),
    ),
    "Q.931": (
        "Q.931",
        Protocol.TCP,
        lambda net, family: q931.session(net.client, net.server, family, PORT),
    ),
    "RAS": (
        "RAS",
        Protocol.UDP,
        lambda net, family: ras.session(net.client, net.server, family, PORT),
    ),
}


@contextmanager
def helped(helper: str, protocol: Protocol) -> Iterator[Topology]:
    """A topology whose router assigns *helper* to PORT, without ctherd."""
    ports = {f"{each}_ports": [PORT] if each is protocol else [] for each in Protocol}
    with Topology.build(**ports) as net:
        net.router.nft(f"""
table inet byhand {{
  ct helper watch {{ type "{helper}" protocol {protocol}; }}
  chain assign {{
    type filter hook prerouting priority -150;
    {protocol} dport {PORT} ct helper set "watch"
  }}
}}
""")
        yield net


@pytest.mark.parametrize("name", EXCHANGES)
def test_under_nat_the_far_side_is_told_the_router(name: str) -> None:
    """The address in the payload is the router's, and what is sent there reaches the client."""
    helper, protocol, opened = EXCHANGES[name]
    with helped(helper, protocol) as net, opened(net, Family.IPV4) as session:
        words = session.exchange()

    (told,) = re.findall(r"was told (\S+):\d+", words)
    assert told == str(net.router.v4)
    assert f"from {net.server.v4}:" in words
    assert f"at {net.client.v4}:" in words
    assert f"to {net.client.v4}:" not in words, "the far side went to an address of the inside"


@pytest.mark.parametrize("name", EXCHANGES)
def test_without_nat_the_far_side_is_told_the_client(name: str) -> None:
    """Over IPv6 nothing is rewritten; the helper only lets through."""
    helper, protocol, opened = EXCHANGES[name]
    with helped(helper, protocol) as net, opened(net, Family.IPV6) as session:
        words = session.exchange()

    (told,) = re.findall(r"was told \[(\S+)\]:\d+", words)
    assert told == str(net.client.v6)


@pytest.mark.parametrize("name", EXCHANGES)
@pytest.mark.parametrize("family", Family)
def test_each_exchange_is_expected_anew(name: str, family: Family) -> None:
    """Every exchange of a session has expectations of its own, as ``conntrack`` tells."""
    helper, protocol, opened = EXCHANGES[name]
    with helped(helper, protocol) as net, opened(net, family) as session:
        seen = []
        for _ in range(2):
            net.router.run(["conntrack", "-F", "expect"])
            session.exchange()
            listed = net.router.run(["conntrack", "-L", "expect", "-f", family.value])
            seen.append(set(re.findall(r"dport=(\d+) mask", listed.stdout)))

        assert session.alive()
    assert all(seen), seen
    assert not seen[0] & seen[1]
