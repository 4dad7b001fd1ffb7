"""SIP as the lab speaks it: a stream is cut into messages, descriptions say where media go."""

import socket
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from ctherd.errors import RemoteProtocolError
from ctherd.lab.endpoint import Endpoint
from ctherd.lab.sip.line import Line
from ctherd.lab.sip.message import Message, described, description
from ctherd.lab.sip.parties import Parties
from ctherd.model.catalog import Protocol

V4 = Endpoint(ip_address("192.0.2.2"), 30000)
V6 = Endpoint(ip_address("2001:db8:1::2"), 30000)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a stream."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(5)
        yield ours, theirs


@pytest.mark.parametrize("end", [V4, V6], ids=str)
def test_a_description_says_where_media_go(end: Endpoint) -> None:
    assert described(description(end, 0, 1)) == end


def test_a_description_without_audio_is_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        described("v=0\r\nc=IN IP4 192.0.2.2\r\n")


def test_a_stream_is_cut_where_messages_end(pair: tuple[socket.socket, socket.socket]) -> None:
    """Two messages that come in pieces are two messages, bodies and all."""
    parties = Parties(Protocol.TCP, V4, V4)
    sent = [parties.request("INVITE", 1, body=description(V4, 0, 1)), parties.request("ACK", 1)]
    octets = b"".join(message.encode() for message in sent)
    ours, theirs = pair
    line = Line(theirs)

    ours.sendall(octets[:100])
    ours.sendall(octets[100:])

    assert [line.receive(), line.receive()] == sent


def test_the_end_of_a_stream_is_no_message(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    ours.sendall(b"INVITE sip:callee@192.0.2.2")
    ours.close()

    with pytest.raises(ConnectionError):
        Line(theirs).receive()


def test_a_response_names_the_dialog() -> None:
    """It repeats who talks to whom, and adds the callee's tag where the request had none."""
    parties = Parties(Protocol.UDP, V4, V6)
    request = parties.request("INVITE", 1)

    accepted = dict(request.accepted(parties.tag).headers)

    assert accepted["To"] == f"{dict(request.headers)['To']};tag={parties.tag}"
    assert accepted["CSeq"] == "1 INVITE"
    again = parties.request("INVITE", 2, within=True)
    assert dict(again.accepted(parties.tag).headers)["To"] == accepted["To"]
    assert Message.decode(again.encode()) == again
