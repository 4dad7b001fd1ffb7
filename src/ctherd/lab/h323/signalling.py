"""Call signalling: Setup, Connect and Release Complete, as H.225.0 puts them into Q.931.

Components and alternatives stand in the order of the recommendation, as far as any of them is used.
Source: ITU-T H.225.0 (version 4, 11/2000), annex H.
"""

from typing import Any, Final

from ctherd.lab.endpoint import Endpoint
from ctherd.lab.h323.h225 import (
    ENDPOINT_TYPE,
    TERMINAL,
    TRANSPORT_ADDRESS,
    VERSION,
    transport_address,
)
from ctherd.lab.h323.per import (
    Boolean,
    Choice,
    Null,
    ObjectIdentifier,
    Octets,
    Sequence,
    always,
    maybe,
)

_SIGNALLING_GOES_ON: Final = {"multipleCalls": True, "maintainConnection": True}
"""One connection serves several calls, and outlives each of them."""

_GUID: Final = Octets(16)
_CALL_IDENTIFIER: Final = Sequence((always("guid", _GUID),))

_SETUP: Final = Sequence(
    (
        always("protocolIdentifier", ObjectIdentifier()),
        maybe("h245Address", TRANSPORT_ADDRESS),
        maybe("sourceAddress"),
        always("sourceInfo", ENDPOINT_TYPE),
        maybe("destinationAddress"),
        maybe("destCallSignalAddress", TRANSPORT_ADDRESS),
        maybe("destExtraCallInfo"),
        maybe("destExtraCRV"),
        always("activeMC", Boolean()),
        always("conferenceID", _GUID),
        always("conferenceGoal", Choice({"create": Null(), "join": Null(), "invite": Null()})),
        maybe("callServices"),
        always(
            "callType",
            Choice({"pointToPoint": Null(), "oneToN": None, "nToOne": None, "nToN": None}),
        ),
    ),
    (
        maybe("sourceCallSignalAddress", TRANSPORT_ADDRESS),
        maybe("remoteExtensionAddress"),
        always("callIdentifier", _CALL_IDENTIFIER),
        maybe("h245SecurityCapability"),
        maybe("tokens"),
        maybe("cryptoTokens"),
        maybe("fastStart"),
        always("mediaWaitForConnect", Boolean()),
        always("canOverlapSend", Boolean()),
        maybe("endpointIdentifier"),
        always("multipleCalls", Boolean()),
        always("maintainConnection", Boolean()),
    ),
)

_CONNECT: Final = Sequence(
    (
        always("protocolIdentifier", ObjectIdentifier()),
        maybe("h245Address", TRANSPORT_ADDRESS),
        always("destinationInfo", ENDPOINT_TYPE),
        always("conferenceID", _GUID),
    ),
    (
        always("callIdentifier", _CALL_IDENTIFIER),
        maybe("h245SecurityMode"),
        maybe("tokens"),
        maybe("cryptoTokens"),
        maybe("fastStart"),
        always("multipleCalls", Boolean()),
        always("maintainConnection", Boolean()),
    ),
)

_RELEASE_COMPLETE: Final = Sequence(
    (always("protocolIdentifier", ObjectIdentifier()), maybe("reason")),
    (always("callIdentifier", _CALL_IDENTIFIER),),
)

USER_INFORMATION: Final = Sequence(
    (
        always(
            "h323-uu-pdu",
            Sequence(
                (
                    always(
                        "h323-message-body",
                        Choice(
                            {
                                "setup": _SETUP,
                                "callProceeding": None,
                                "connect": _CONNECT,
                                "alerting": None,
                                "information": None,
                                "releaseComplete": _RELEASE_COMPLETE,
                                "facility": None,
                            }
                        ),
                    ),
                    maybe("nonStandardData"),
                ),
                (maybe("h4501SupplementaryService"), always("h245Tunneling", Boolean())),
            ),
        ),
        maybe("user-data"),
    )
)


def setup(call: bytes, source: Endpoint) -> tuple[str, dict[str, Any]]:
    """Return the message that calls, from *source*; *call* identifies it, in 16 octets."""
    return "setup", {
        "protocolIdentifier": VERSION,
        "sourceInfo": TERMINAL,
        "activeMC": False,
        "conferenceID": call,
        "conferenceGoal": ("create", None),
        "callType": ("pointToPoint", None),
        "sourceCallSignalAddress": transport_address(source),
        "callIdentifier": {"guid": call},
        "mediaWaitForConnect": False,
        "canOverlapSend": False,
        **_SIGNALLING_GOES_ON,
    }


def connect(call: bytes, control: Endpoint | None = None) -> tuple[str, dict[str, Any]]:
    """Return the message that accepts a call, and takes H.245 connections at *control*."""
    return "connect", {
        "protocolIdentifier": VERSION,
        **({"h245Address": transport_address(control)} if control else {}),
        "destinationInfo": TERMINAL,
        "conferenceID": call,
        "callIdentifier": {"guid": call},
        **_SIGNALLING_GOES_ON,
    }


def release_complete(call: bytes) -> tuple[str, dict[str, Any]]:
    """Return the message that ends a call."""
    return "releaseComplete", {"protocolIdentifier": VERSION, "callIdentifier": {"guid": call}}
