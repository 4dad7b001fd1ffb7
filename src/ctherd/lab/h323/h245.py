"""Media control: the types of H.245 with which a logical channel is opened, for audio by RTP.

Components and alternatives stand in the order of the recommendation, as far as any of them is used.
Source: ITU-T H.245 (version 7, 11/2000), annex A.
"""

from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

from ctherd.lab.endpoint import Endpoint
from ctherd.lab.h323 import per
from ctherd.lab.h323.per import (
    Choice,
    Integer,
    Octets,
    Sequence,
    always,
    maybe,
    unused,
)

_AUDIO: Final = 1
"""The session that H.225.0 reserves for audio."""

_FRAMES: Final = 20
"""Of G.711, in a packet."""

_PORT: Final = Integer(0, 65535)
_CHANNEL_NUMBER: Final = Integer(1, 65535)
_SESSION_ID: Final = Integer(1, 255)

_TRANSPORT_ADDRESS: Final = Choice(
    {
        "unicastAddress": Choice(
            {
                "iPAddress": Sequence(
                    (always("network", Octets(4)), always("tsapIdentifier", _PORT))
                ),
                "iPXAddress": None,
                "iP6Address": Sequence(
                    (always("network", Octets(16)), always("tsapIdentifier", _PORT))
                ),
                "netBios": None,
                "iPSourceRouteAddress": None,
            }
        ),
        "multicastAddress": None,
    }
)

_AUDIO_CAPABILITY: Final = Choice(
    {
        "nonStandard": None,
        "g711Alaw64k": None,
        "g711Alaw56k": None,
        "g711Ulaw64k": Integer(1, 256),
        **unused(4, 14),
    }
)

_DATA_TYPE: Final = Choice(
    {
        "nonStandard": None,
        "nullData": None,
        "videoData": None,
        "audioData": _AUDIO_CAPABILITY,
        "data": None,
        "encryptionData": None,
    }
)

_H2250_PARAMETERS: Final = Sequence(
    (
        maybe("nonStandard"),
        always("sessionID", Integer(0, 255)),
        maybe("associatedSessionID"),
        maybe("mediaChannel", _TRANSPORT_ADDRESS),
        maybe("mediaGuaranteedDelivery"),
        maybe("mediaControlChannel", _TRANSPORT_ADDRESS),
        maybe("mediaControlGuaranteedDelivery"),
        maybe("silenceSuppression"),
        maybe("destination"),
        maybe("dynamicRTPPayloadType"),
        maybe("mediaPacketization"),
    )
)

_H2250_ACK_PARAMETERS: Final = Sequence(
    (
        maybe("nonStandard"),
        maybe("sessionID", _SESSION_ID),
        maybe("mediaChannel", _TRANSPORT_ADDRESS),
        maybe("mediaControlChannel", _TRANSPORT_ADDRESS),
        maybe("dynamicRTPPayloadType"),
    )
)

_OPEN_LOGICAL_CHANNEL: Final = Sequence(
    (
        always("forwardLogicalChannelNumber", _CHANNEL_NUMBER),
        always(
            "forwardLogicalChannelParameters",
            Sequence(
                (
                    maybe("portNumber"),
                    always("dataType", _DATA_TYPE),
                    always(
                        "multiplexParameters",
                        Choice(
                            unused(0, 3),
                            {"h2250LogicalChannelParameters": _H2250_PARAMETERS},
                        ),
                    ),
                )
            ),
        ),
        maybe("reverseLogicalChannelParameters"),
    )
)

_OPEN_LOGICAL_CHANNEL_ACK: Final = Sequence(
    (
        always("forwardLogicalChannelNumber", _CHANNEL_NUMBER),
        maybe("reverseLogicalChannelParameters"),
    ),
    (
        maybe("separateStack"),
        maybe(
            "forwardMultiplexAckParameters",
            Choice({"h2250LogicalChannelAckParameters": _H2250_ACK_PARAMETERS}),
        ),
    ),
)

CONTROL_MESSAGE: Final = Choice(
    {
        "request": Choice(
            {**unused(0, 3), "openLogicalChannel": _OPEN_LOGICAL_CHANNEL, **unused(4, 11)}
        ),
        "response": Choice(
            {**unused(0, 5), "openLogicalChannelAck": _OPEN_LOGICAL_CHANNEL_ACK, **unused(6, 19)}
        ),
        "command": None,
        "indication": None,
    }
)
"""MultimediaSystemControlMessage."""


def encode(message: tuple[str, Any]) -> bytes:
    """Return *message* as it is sent."""
    return per.encode(CONTROL_MESSAGE, message)


def decode(octets: bytes) -> Any:
    """Read what ``encode`` returned, and a router may have rewritten.

    Raises: RemoteProtocolError if it was spoilt.
    """
    return per.decode(CONTROL_MESSAGE, octets)


def open_channel(number: int, control: Endpoint) -> tuple[str, Any]:
    """Return the message that wants to send G.711 audio, and take RTCP at *control*."""
    parameters = {"sessionID": _AUDIO, "mediaControlChannel": _transport_address(control)}
    request = {
        "forwardLogicalChannelNumber": number,
        "forwardLogicalChannelParameters": {
            "dataType": ("audioData", ("g711Ulaw64k", _FRAMES)),
            "multiplexParameters": ("h2250LogicalChannelParameters", parameters),
        },
    }
    return "request", ("openLogicalChannel", request)


def acknowledge(message: tuple[str, Any], media: Endpoint, control: Endpoint) -> tuple[str, Any]:
    """Return the answer to such a message, which takes RTP at *media*, and RTCP at *control*."""
    _, (_, request) = message
    parameters = {
        "sessionID": _AUDIO,
        "mediaChannel": _transport_address(media),
        "mediaControlChannel": _transport_address(control),
    }
    response = {
        "forwardLogicalChannelNumber": request["forwardLogicalChannelNumber"],
        "forwardMultiplexAckParameters": ("h2250LogicalChannelAckParameters", parameters),
    }
    return "response", ("openLogicalChannelAck", response)


def acknowledged(message: tuple[str, Any]) -> Endpoint:
    """Return where such an answer takes RTP."""
    _, (_, response) = message
    _, parameters = response["forwardMultiplexAckParameters"]
    _, (name, value) = parameters["mediaChannel"]
    host = (IPv4Address if name == "iPAddress" else IPv6Address)(value["network"])
    return Endpoint(host, value["tsapIdentifier"])


def _transport_address(endpoint: Endpoint) -> tuple[str, Any]:
    name = "iPAddress" if endpoint.host.version == 4 else "iP6Address"
    value = {"network": endpoint.host.packed, "tsapIdentifier": endpoint.port}
    return "unicastAddress", (name, value)
