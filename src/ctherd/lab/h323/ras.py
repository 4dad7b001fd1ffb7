"""Registration, admission and status: how a terminal finds a gatekeeper and registers there.

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
    Integer,
    ObjectIdentifier,
    Sequence,
    SequenceOf,
    Text,
    always,
    maybe,
    unused,
)

_NO_VENDOR: Final = {"t35CountryCode": 0, "t35Extension": 0, "manufacturerCode": 0}

_SEQUENCE_NUMBER: Final = Integer(1, 65535)
_GATEKEEPER_IDENTIFIER: Final = Text(128)

RAS_MESSAGE: Final = Choice(
    {
        "gatekeeperRequest": Sequence(
            (
                always("requestSeqNum", _SEQUENCE_NUMBER),
                always("protocolIdentifier", ObjectIdentifier()),
                maybe("nonStandardData"),
                always("rasAddress", TRANSPORT_ADDRESS),
                always("endpointType", ENDPOINT_TYPE),
                maybe("gatekeeperIdentifier", _GATEKEEPER_IDENTIFIER),
                maybe("callServices"),
                maybe("endpointAlias"),
            )
        ),
        "gatekeeperConfirm": Sequence(
            (
                always("requestSeqNum", _SEQUENCE_NUMBER),
                always("protocolIdentifier", ObjectIdentifier()),
                maybe("nonStandardData"),
                maybe("gatekeeperIdentifier", _GATEKEEPER_IDENTIFIER),
                always("rasAddress", TRANSPORT_ADDRESS),
            )
        ),
        "gatekeeperReject": None,
        "registrationRequest": Sequence(
            (
                always("requestSeqNum", _SEQUENCE_NUMBER),
                always("protocolIdentifier", ObjectIdentifier()),
                maybe("nonStandardData"),
                always("discoveryComplete", Boolean()),
                always("callSignalAddress", SequenceOf(TRANSPORT_ADDRESS)),
                always("rasAddress", SequenceOf(TRANSPORT_ADDRESS)),
                always("terminalType", ENDPOINT_TYPE),
                maybe("terminalAlias"),
                maybe("gatekeeperIdentifier", _GATEKEEPER_IDENTIFIER),
                always(
                    "endpointVendor",
                    Sequence(
                        (
                            always(
                                "vendor",
                                Sequence(
                                    (
                                        always("t35CountryCode", Integer(0, 255)),
                                        always("t35Extension", Integer(0, 255)),
                                        always("manufacturerCode", Integer(0, 65535)),
                                    )
                                ),
                            ),
                            maybe("productId"),
                            maybe("versionId"),
                        )
                    ),
                ),
            )
        ),
        "registrationConfirm": Sequence(
            (
                always("requestSeqNum", _SEQUENCE_NUMBER),
                always("protocolIdentifier", ObjectIdentifier()),
                maybe("nonStandardData"),
                always("callSignalAddress", SequenceOf(TRANSPORT_ADDRESS)),
                maybe("terminalAlias"),
                maybe("gatekeeperIdentifier", _GATEKEEPER_IDENTIFIER),
                always("endpointIdentifier", Text(128)),
            )
        ),
        **unused(5, 24),
    }
)


def gatekeeper_request(number: int, ras: Endpoint) -> tuple[str, dict[str, Any]]:
    """Return the question for a gatekeeper, from a terminal that takes answers at *ras*."""
    return "gatekeeperRequest", {
        "requestSeqNum": number,
        "protocolIdentifier": VERSION,
        "rasAddress": transport_address(ras),
        "endpointType": TERMINAL,
    }


def gatekeeper_confirm(number: int, ras: Endpoint) -> tuple[str, dict[str, Any]]:
    """Return the answer of a gatekeeper, that it takes registrations at *ras*."""
    return "gatekeeperConfirm", {
        "requestSeqNum": number,
        "protocolIdentifier": VERSION,
        "rasAddress": transport_address(ras),
    }


def registration_request(
    number: int, signalling: Endpoint, ras: Endpoint
) -> tuple[str, dict[str, Any]]:
    """Return the registration of a terminal that takes calls at *signalling*."""
    return "registrationRequest", {
        "requestSeqNum": number,
        "protocolIdentifier": VERSION,
        "discoveryComplete": True,
        "callSignalAddress": [transport_address(signalling)],
        "rasAddress": [transport_address(ras)],
        "terminalType": TERMINAL,
        "endpointVendor": {"vendor": _NO_VENDOR},
    }


def registration_confirm(number: int, identifier: str) -> tuple[str, dict[str, Any]]:
    """Return the confirmation of a terminal, which is called *identifier* from now on."""
    return "registrationConfirm", {
        "requestSeqNum": number,
        "protocolIdentifier": VERSION,
        "callSignalAddress": [],
        "endpointIdentifier": identifier,
    }
