"""What exchanges of our own say is what real software says and understands."""

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctherd.lab.exchanges import net_snmp, netbios_names
from ctherd.lab.exchanges.snmp_message import (
    PLAYPEN,
    Message,
    Pdu,
    Variable,
    address,
    name,
    nothing,
    ticks,
)
from ctherd.lab.sockets import datagrams
from ctherd.lab.topology import Topology

_arcs = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=12)
_oids = _arcs.map(lambda rest: ".".join(map(str, [1, 3, *rest])))
_variables = st.one_of(
    st.builds(address, _oids, st.ip_addresses(v=4)),
    st.builds(nothing, _oids),
    st.builds(ticks, _oids, st.integers(0, 2**32 - 1)),
    st.builds(name, _oids, _oids),
)


@given(
    pdu=st.sampled_from(Pdu),
    request=st.integers(0, 2**31 - 1),
    variables=st.lists(_variables, max_size=20),
)
def test_a_message_of_snmp_is_read_as_it_was_meant(
    pdu: Pdu, request: int, variables: list[Variable]
) -> None:
    """Reading what was spelled gives the message again, whatever its lengths are."""
    meant = Message(pdu, request, variables)

    assert Message.of(meant.encoded()) == meant


@pytest.mark.root
def test_snmpd_understands_our_messages() -> None:
    """A request of ours is answered by snmpd, and its answer is read: the value, and no error."""
    with Topology.build(udp_ports=(161,)) as net:
        session = net_snmp.requests(net.client, net.server, 161, seen_as=net.router.v4)
        with session, datagrams(net.client, str(net.client.v4)) as manager:
            manager.connect((str(net.server.v4), 161))
            own = IPv4Address("192.0.2.77")
            manager.send(Message(Pdu.SET, 7_000_000, [address(PLAYPEN, own)]).encoded())
            set_to = Message.of(manager.recv(2048))
            manager.send(Message(Pdu.GET, 7_000_001, [nothing(PLAYPEN)]).encoded())
            got = Message.of(manager.recv(2048))

    assert set_to == Message(Pdu.RESPONSE, 7_000_000, [address(PLAYPEN, own)])
    assert got == Message(Pdu.RESPONSE, 7_000_001, [address(PLAYPEN, own)])


def test_a_name_is_spelled_as_netbios_does() -> None:
    """Each half of a byte is a letter; the name is padded with spaces, the last byte is its kind.

    Source: RFC 1001, section 14.1.
    """
    spelled = b"\x20" + b"EMEBECDBDA" + b"CA" * 10 + b"AA" + b"\0"

    assert spelled in netbios_names.question(10)


def test_an_answer_about_a_name_says_who_has_it() -> None:
    """The host's address and the name that was asked for are read from its answer."""
    answer = netbios_names.answer(netbios_names.question(10), IPv4Address("198.51.100.10"))

    assert netbios_names.understood(answer) == "LAB10 is 198.51.100.10"


def test_a_question_is_no_answer() -> None:
    """What is not a positive response is refused, so that no echo is taken for an answer."""
    with pytest.raises(OSError, match="no positive response"):
        netbios_names.understood(netbios_names.question(10))
