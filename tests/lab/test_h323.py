"""What the lab says of H.323 is what the recommendations say, by another implementation of them."""

from ipaddress import ip_address
from typing import Any

import pytest
from pycrate_asn1dir.H225 import H323_MESSAGES
from pycrate_asn1dir.H245 import MULTIMEDIA_SYSTEM_CONTROL

from ctherd.errors import RemoteProtocolError
from ctherd.lab.endpoint import Endpoint
from ctherd.lab.h323 import h225, h245, per, ras, signalling
from ctherd.lab.h323.q931 import Message, MessageType

V4 = Endpoint(ip_address("192.0.2.2"), 30000)
V6 = Endpoint(ip_address("2001:db8:1::2"), 30001)
CALL = bytes(range(16))


def user_information(body: Any) -> tuple[per.Type, Any, Any]:
    value = {"h323-uu-pdu": {"h323-message-body": body, "h245Tunneling": False}}
    return signalling.USER_INFORMATION, value, H323_MESSAGES.H323_UserInformation


def registration(value: Any) -> tuple[per.Type, Any, Any]:
    return ras.RAS_MESSAGE, value, H323_MESSAGES.RasMessage


def control(value: Any) -> tuple[per.Type, Any, Any]:
    theirs = MULTIMEDIA_SYSTEM_CONTROL.MultimediaSystemControlMessage
    return h245.CONTROL_MESSAGE, value, theirs


def messages(end: Endpoint) -> list[tuple[per.Type, Any, Any]]:
    opened = h245.open_channel(1, end)
    return [
        user_information(signalling.setup(CALL, end)),
        user_information(signalling.connect(CALL, end)),
        user_information(signalling.connect(CALL)),
        user_information(signalling.release_complete(CALL)),
        registration(ras.gatekeeper_request(1, end)),
        registration(ras.gatekeeper_confirm(2, end)),
        registration(ras.registration_request(3, end, end)),
        registration(ras.registration_confirm(65535, "lab")),
        control(opened),
        control(h245.acknowledge(opened, end, end)),
    ]


@pytest.mark.parametrize(("kind", "value", "theirs"), [*messages(V4), *messages(V6)])
def test_others_read_what_we_write_and_we_what_they_write(
    kind: per.Type, value: Any, theirs: Any
) -> None:
    """A message survives the way through the other implementation and back."""
    theirs.from_aper(per.encode(kind, value))

    assert per.decode(kind, theirs.to_aper()) == value


@pytest.mark.parametrize("end", [V4, V6], ids=str)
def test_an_address_is_found_where_the_other_implementation_put_it(end: Endpoint) -> None:
    """Addresses, which a helper rewrites, are read as such, not only carried along."""
    theirs = H323_MESSAGES.H323_UserInformation
    kind, value, _ = user_information(signalling.connect(CALL, end))
    theirs.from_aper(per.encode(kind, value))
    _, content = theirs.get_val()["h323-uu-pdu"]["h323-message-body"]

    assert h225.endpoint(content["h245Address"]) == end


def test_a_message_of_a_call_is_read_as_it_was_written() -> None:
    """With and without a user-user element; the elements before it are skipped."""
    for message in (
        Message(MessageType.SETUP, 1, signalling.setup(CALL, V4)),
        Message(MessageType.CONNECT, 0x8001, signalling.connect(CALL, V6)),
        Message(MessageType.STATUS_ENQUIRY, 1),
        Message(MessageType.STATUS, 0x8001),
    ):
        assert Message.decode(message.encode()) == message


def test_what_is_cut_off_is_refused() -> None:
    """No shorter message is taken for a whole one, but the header, which may stand alone."""
    header = Message(MessageType.CONNECT, 1).encode()
    message = Message(MessageType.CONNECT, 1, signalling.connect(CALL, V4)).encode()

    for size in set(range(len(message))) - {len(header)}:
        with pytest.raises(RemoteProtocolError):
            Message.decode(message[:size])
