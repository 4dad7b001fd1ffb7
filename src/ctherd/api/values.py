"""What a value of a request must be: one reader for each sort, pure, in the reference's words.

A reader takes what JSON (or a query) had and returns the value that is meant. It refuses by
``invalid_input`` what has no such type, and by ``Unfit`` what has the type and is wrong; whoever
knows the attribute's name puts that into words.
"""

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network
from typing import Any, Final
from uuid import UUID

from ctherd.api.neutron_errors import echo, invalid_input
from ctherd.errors import InvalidDeclaration
from ctherd.model.assignment import Destinations, OnRevoke, collapse, parse_prefix
from ctherd.model.document import NetnsName
from ctherd.model.router import HostName
from ctherd.model.status import State

Reader = Callable[[Any], Any]

PROTOCOLS: Final = ("dccp", "icmp", "ipv6-icmp", "sctp", "tcp", "udp")
"""What the reference takes for a protocol; a helper speaks tcp, udp or both."""

LONGEST_HELPER: Final = 64
LONGEST_TEXT: Final = 255
MOST_DESTINATIONS: Final = 128
MOST_PLACEMENTS: Final = 64
MOST_ROUTES: Final = 128

_WHOLE: Final = re.compile(r"\s*[+-]?[0-9]{1,19}\s*")
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_TRUE: Final = frozenset({"1", "t", "true", "on", "y", "yes"})
_FALSE: Final = frozenset({"0", "f", "false", "off", "n", "no"})


class Unfit(Exception):
    """The value has the right type and is wrong; the message is the reason, without full stop."""


# -- of a helper -----------------------------------------------------------------------------------


def protocol(given: Any) -> str:
    """Return a protocol's name, in lower case as it must be written."""
    if given in PROTOCOLS:
        return str(given)
    if given is None or _is_protocol(given):
        raise Unfit(f"{echo(given)} is not in valid_values")
    raise invalid_input(
        f"IP protocol '{echo(given)}' is not supported. Only protocol names and their integer "
        "representation (0 to 255) are supported"
    )


def protocol_filter(given: str) -> str:
    """Return what a list is filtered by: any protocol there is, as it was written."""
    try:
        return protocol(given)
    except Unfit:
        return given


def _is_protocol(given: Any) -> bool:
    if isinstance(given, str) and given.lower() in PROTOCOLS:
        return True
    number = _whole(given)
    return number is not None and 0 <= number <= 255


def port(given: Any) -> int:
    """Return a port, 1 to 65535."""
    number = whole_number(given)
    if number < 1:
        raise Unfit(f"'{number}' is too small - must be at least '1'")
    if number > 65535:
        raise Unfit(f"'{number}' is too large - must be no larger than '65535'")
    return number


def whole_number(given: Any) -> int:
    """Return a whole number; a string of digits is one, too."""
    number = _whole(given)
    if number is None:
        raise invalid_input(f"'{echo(given)}' is not an integer")
    return number


def _whole(given: Any) -> int | None:
    match given:
        case bool():
            return None
        case int():
            return given
        case float() if given.is_integer():
            return int(given)
        case str() if _WHOLE.fullmatch(given):
            return int(given)
    return None


def helper(given: Any) -> str:
    """Return the name of a helper, which need not exist."""
    return text(str(given) if type(given) in (int, float) else given, LONGEST_HELPER)


def status(given: str) -> str:
    """Return a status that there is."""
    if given not in list(State):
        raise Unfit(f"{echo(given)} is not in valid_values")
    return given


def destinations(given: Any) -> Destinations:
    """Return the prefixes of a list of CIDRs; empty: any."""
    return collapse(_prefix(each) for each in _list(given, MOST_DESTINATIONS))


def on_revoke(given: Any) -> OnRevoke:
    """Return what happens to live flows one day."""
    if not isinstance(given, str) or given not in list(OnRevoke):
        raise Unfit(f"'{echo(given)}' is not in {[each.value for each in OnRevoke]}")
    return OnRevoke(given)


def _prefix(given: Any) -> Any:
    try:
        return parse_prefix(text(given))
    except InvalidDeclaration as error:
        raise Unfit(echo(error.what)) from error


# -- of a router -----------------------------------------------------------------------------------


def boolean(given: Any) -> bool:
    """Return a truth value, of which the reference knows many spellings."""
    spelled = str(given).strip().lower()
    if spelled in _TRUE:
        return True
    if spelled in _FALSE:
        return False
    raise invalid_input(f"'{echo(given)}' cannot be converted to boolean")


def name(given: Any) -> str:
    """Return a name: one line, without white space around it."""
    named = text(given)
    if named != named.strip() or not named.isprintable():
        raise Unfit(f"'{echo(named)}' is not a valid string")
    return named


def gateway(given: Any) -> Mapping[str, object] | None:
    """Return the external gateway as a client described it; None or {}: there is none."""
    if not given:
        return None
    known = {"network_id": uuid, "enable_snat": boolean, "external_fixed_ips": _fixed_ips}
    fields = _dict(given, known)
    if "network_id" not in fields:
        raise Unfit("Validation of dictionary's keys failed. Expected keys: {'network_id'}")
    return fields


def _fixed_ips(given: Any) -> list[dict[str, object]]:
    known = {"subnet_id": uuid, "ip_address": _address}
    return [_dict(each, known) for each in _list(given, MOST_ROUTES)]


def routes(given: Any) -> tuple[Mapping[str, object], ...]:
    """Return extra routes as a client described them; None, {} and []: there are none."""
    known = {"destination": _network, "nexthop": _address}
    return tuple(_dict(each, known, whole=True) for each in _list(given or [], MOST_ROUTES))


def placements(given: Any) -> list[tuple[HostName, NetnsName | None]]:
    """Return where a router lives: host, and netns where it was given."""
    known = {"host": _host, "netns": _netns}
    places = [_dict(each, known) for each in _list(given, MOST_PLACEMENTS)]
    if any("host" not in each for each in places):
        raise Unfit("Validation of dictionary's keys failed. Expected keys: {'host'}")
    return [(each["host"], each.get("netns")) for each in places]


def _host(given: Any) -> HostName:
    if not _HOST.fullmatch(text(given)):
        raise Unfit(f"'{echo(given)}' is not a valid host name")
    return HostName(given)


def _netns(given: Any) -> NetnsName | None:
    """Return a name that can be one file in the directory of namespaces, or HOST."""
    if given is None:
        return None
    named = text(given)
    if named in ("", ".", "..") or "/" in named or not named.isprintable() or " " in named:
        raise Unfit(f"'{echo(named)}' is not a valid network namespace name")
    return NetnsName(named)


# -- of anything -----------------------------------------------------------------------------------


def uuid(given: Any) -> str:
    """Return a UUID as it was spelled, hyphens and all."""
    try:
        if str(UUID(text(given))) == given.lower():
            return str(given)
    except ValueError:
        pass
    raise Unfit(f"'{echo(given)}' is not a valid UUID")


def text(given: Any, longest: int = LONGEST_TEXT) -> str:
    """Return a string of at most *longest* characters that UTF-8 can spell."""
    if not isinstance(given, str) or not _encodable(given):
        raise Unfit(f"'{echo(given)}' is not a valid string")
    if len(given) > longest:
        raise Unfit(f"'{echo(given)}' exceeds maximum length of {longest}")
    return given


def _encodable(given: str) -> bool:
    """Tell whether there is no half of a surrogate pair in it, as JSON allows."""
    return given.isascii() or not any("\ud800" <= each <= "\udfff" for each in given)


def _list(given: Any, most: int) -> list[Any]:
    if not isinstance(given, list):
        raise Unfit(f"'{echo(given)}' is not a list")
    if len(given) > most:
        raise Unfit(f"there are more than {most} items")
    return given


def _dict(given: Any, known: Mapping[str, Reader], *, whole: bool = False) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise Unfit(f"'{echo(given)}' is not a dictionary")
    if unexpected := [each for each in given if each not in known]:
        raise Unfit(f"Unexpected keys supplied: {echo(', '.join(unexpected))}")
    if whole and len(given) != len(known):
        raise Unfit(
            f"Validation of dictionary's keys failed. Expected keys: {set(known)} "
            f"Provided keys: {set(given)}"
        )
    return {key: known[key](value) for key, value in given.items()}


def _network(given: Any) -> str:
    try:
        return str(ip_network(text(given)))
    except ValueError as error:
        raise Unfit(f"'{echo(given)}' is not a valid CIDR") from error


def _address(given: Any) -> str:
    try:
        return str(ip_address(text(given)))
    except ValueError as error:
        raise Unfit(f"'{echo(given)}' is not a valid IP address") from error
