"""One rule of ours: an assignment, for one destination, as iptables-save prints it.

``-d 203.0.113.0/24 -p tcp -m tcp --dport 21 -m comment --comment <tag> -j CT --helper ftp``
"""

import socket
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from ipaddress import ip_network
from typing import Final, NamedTuple

from ctherd.errors import LocalProtocolError
from ctherd.model.assignment import ANY, AssignmentKey, Prefix, family_of
from ctherd.model.catalog import HELPERS, Family, Protocol, by_name
from ctherd.model.observation import Live

_HELPERS: Final = frozenset(helper.name for helper in HELPERS)
_PROTOCOLS: Final = {protocol.value: protocol for protocol in Protocol}
_AF: Final = {4: socket.AF_INET, 6: socket.AF_INET6}
_MAX_PORT: Final = 65535
_OPTIONS: Final = frozenset(("-d", "-p", "--dport", "--comment", "-j", "--helper"))

EVERYWHERE: Final = {Family.IPV4: ip_network("0.0.0.0/0"), Family.IPV6: ip_network("::/0")}


class Rule(NamedTuple):
    """One rule of one family. Shape: *prefix* None is every address of it."""

    key: AssignmentKey
    prefix: Prefix | None = None


def render(rule: Rule, comment: str) -> str:
    """Return *rule* as iptables-save prints it, without the chain.

    Raises: LocalProtocolError for what the catalog does not know, so that it gets into no ruleset.
    """
    protocol, port, helper = rule.key
    if helper not in _HELPERS or protocol not in _PROTOCOLS or type(port) is not int:
        raise LocalProtocolError(f"{rule.key!r} can be no assignment")
    if not 1 <= port <= _MAX_PORT:
        raise LocalProtocolError(f"port {port} is not between 1 and {_MAX_PORT}")
    name = _PROTOCOLS[protocol].value
    scope = "" if rule.prefix is None else f"-d {_spelled(rule.prefix)} "
    return (
        f"{scope}-p {name} -m {name} --dport {port} "
        f"-m comment --comment {comment} -j CT --helper {helper}"
    )


@lru_cache(maxsize=4096)
def _spelled(prefix: Prefix) -> str:
    # Not str(): from 32 low bits of an IPv6 address it makes something else than iptables does.
    address = socket.inet_ntop(_AF[prefix.version], prefix.network_address.packed)
    return f"{address}/{prefix.prefixlen:d}"


def parse(text: str, comment: str, family: Family) -> Rule | None:
    """Return the rule of ours that *text* spells; None for anything else, however similar."""
    options = _options(text)
    if options is None or (options.get("-j"), options.get("--comment")) != ("CT", comment):
        return None
    protocol = _PROTOCOLS.get(options.get("-p", ""))
    port, helper = options.get("--dport", ""), options.get("--helper", "")
    if protocol is None or helper not in _HELPERS or not (port.isascii() and port.isdigit()):
        return None
    key = AssignmentKey(protocol, int(port), helper)
    if "-d" not in options:
        return Rule(key)
    prefix = _prefix(options["-d"], family)
    return None if prefix is None else Rule(key, prefix)


def _options(text: str) -> dict[str, str] | None:
    """Return each option with its value; None if one is unknown or occurs twice."""
    words = text.split(" ")
    found: dict[str, str] = {}
    for option, value in zip(words[::2], words[1::2], strict=False):
        if option == "-m" and value in ("comment", found.get("-p")):
            continue
        if option not in _OPTIONS or option in found:
            return None
        found[option] = value
    return None if len(words) % 2 else found


@lru_cache(maxsize=4096)
def _prefix(text: str, family: Family) -> Prefix | None:
    try:
        prefix = ip_network(text)
    except ValueError:
        return None
    return prefix if family_of(prefix) is family and "%" not in text else None


# -- assignments as rules ------------------------------------------------------------------------


def rules_for(live: Live, family: Family, present: Collection[Rule] = ()) -> Iterator[Rule]:
    """Yield the rules that make *live* true in *family*.

    A destination of length 0 is written as its halves, so that it can be told from no destination
    at all. Where it stands for an assignment that the other family does not take, a rule without
    destination that is *present* says the same, and stays.
    """
    for key, destinations in live.items():
        helper_families = _families_of(key)
        if family not in helper_families:
            continue
        if not destinations:
            yield Rule(key)
            continue
        whole = all(EVERYWHERE[each] in destinations for each in helper_families)
        for prefix in destinations:
            if family_of(prefix) is not family:
                continue
            if prefix.prefixlen:
                yield Rule(key, prefix)
            elif not whole and Rule(key) in present:
                yield Rule(key)
            else:
                yield from (Rule(key, half) for half in prefix.subnets())


def destinations_of(key: AssignmentKey, found: Iterable[tuple[Family, Rule]]) -> list[Prefix]:
    """Return the prefixes for which *found*, all rules of *key*, give the helper; [] for any."""
    prefixes: list[Prefix] = []
    everywhere: set[Family] = set()
    for family, rule in found:
        if rule.prefix is None:
            everywhere.add(family)
        prefixes.append(rule.prefix or EVERYWHERE[family])
    return list(ANY) if everywhere >= set(_families_of(key)) else prefixes


def _families_of(key: AssignmentKey) -> tuple[Family, ...]:
    if key.helper not in _HELPERS:
        raise LocalProtocolError(f"{key!r} names no helper of the catalog")
    return by_name(key.helper).families
