"""Chains and rules of our table that narrow what helpers may do, where the policy asks for it.

As `nft` would write them, with everything asked for, on a router that has ftp and pptp::

    chain prerouting {                    # before the rules that assign
        ct state != new accept            # established packets pay this much, and no more
        iifname "qg-*" counter accept     # for each interface of not_from
        fib saddr . iif oif 0 counter accept
        …
    }
    chain related_forward {
        type filter hook forward priority 10
        ct state != related accept
        meta l4proto icmp accept          # an error about a connection is "related" to it, too
        meta l4proto ipv6-icmp accept
        ct helper "ftp" th dport >= 1024 counter accept
        ct helper "ftp" counter drop
        ct helper "pptp" meta l4proto gre counter accept
        ct helper "pptp" th dport >= 1024 counter accept
        ct helper "pptp" counter drop
        ct helper != "" counter drop      # let in by a helper that is not assigned here
    }
    chain related_input { the same at hook input, for the router's own connections }

``accept`` ends our chain only: what the router's own firewall has dropped, or will drop, stays
dropped. A related connection that no helper let in (``ct helper`` finds none) is no affair of ours.
"""

import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from ctherd.model.safe_scope import AntiSpoofing, SafeScope, letting_in
from ctherd.netlink import nf_tables as nft
from ctherd.netlink import nf_tables_read as read
from ctherd.netlink.dialogue import Dialogue
from ctherd.netlink.nf_tables import Operation
from ctherd.netlink.nf_tables_read import Expression
from ctherd.netlink.wire import number

_ICMP, _GRE, _ICMPV6 = b"\x01", b"\x2f", b"\x3a"
_HELPER_NAME_BYTES: Final = 16
_NOWHERE: Final = bytes(4)


class BaseChain(NamedTuple):
    """One chain of our table, all of which are of type filter and accept by default."""

    name: str
    hook: int
    priority: int


RELATED_CHAINS: Final = (
    # After the usual filters, so that what these drop is not counted here.
    BaseChain("related_forward", nft.HOOK_FORWARD, 10),
    BaseChain("related_input", nft.HOOK_INPUT, 10),
)


class Narrowing(NamedTuple):
    """One rule, and what it counts in words; "" if it counts nothing."""

    words: str
    expressions: tuple[bytes, ...]


def before_assignment(scope: SafeScope) -> tuple[Narrowing, ...]:
    """Return the rules that keep packets from those that assign helpers."""
    if not scope.narrows_assignment:
        return ()
    unless_new = _state_is_not(nft.STATE_NEW)
    return (
        Narrowing("", (*unless_new, nft.accept())),
        *map(_not_from, scope.not_from),
        *_spoofed(scope.anti_spoofing),
    )


@lru_cache(maxsize=256)
def _related(scope_ports: tuple[tuple[str, int], ...]) -> tuple[Narrowing, ...]:
    return (
        Narrowing("", (*_state_is_not(nft.STATE_RELATED), nft.accept())),
        *(Narrowing("", (*_l4_protocol(each), nft.accept())) for each in (_ICMP, _ICMPV6)),
        *(rule for helper, port in scope_ports for rule in _let_in(helper, port)),
        Narrowing(
            "dropped: let in by a helper that is not assigned here",
            (
                nft.conntrack(nft.CT_HELPER, nft.REGISTER_1),
                # Always so; but without a comparison `nft` would list a rule that drops everything.
                nft.compare(nft.REGISTER_1, nft.COMPARE_UNEQUAL, bytes(_HELPER_NAME_BYTES)),
                nft.counter(),
                nft.drop(),
            ),
        ),
    )


def related(scope: SafeScope, helpers: frozenset[str]) -> tuple[Narrowing, ...]:
    """Return the rules of each of RELATED_CHAINS where *helpers* are assigned."""
    found = letting_in(helpers).items()
    return _related(tuple((each, scope.lowest_port(assigned)) for each, assigned in found))


def _let_in(helper: str, lowest_port: int) -> Iterator[Narrowing]:
    by_helper = _helper_is(helper)
    if helper == "pptp":
        yield Narrowing(
            f"{helper}: GRE let in",
            (*by_helper, *_l4_protocol(_GRE), nft.counter(), nft.accept()),
        )
    yield Narrowing(
        f"{helper}: let in to port {lowest_port} and above",
        (
            *by_helper,
            nft.payload(nft.PAYLOAD_TRANSPORT_HEADER, 2, 2, nft.REGISTER_1),
            nft.compare(nft.REGISTER_1, nft.COMPARE_AT_LEAST, lowest_port.to_bytes(2, "big")),
            nft.counter(),
            nft.accept(),
        ),
    )
    yield Narrowing(f"{helper}: dropped, below that", (*by_helper, nft.counter(), nft.drop()))


def _helper_is(helper: str) -> tuple[bytes, bytes]:
    name = helper.encode().ljust(_HELPER_NAME_BYTES, b"\0")
    return (
        nft.conntrack(nft.CT_HELPER, nft.REGISTER_1),
        nft.compare_equal(nft.REGISTER_1, name),
    )


def _state_is_not(state: int) -> tuple[bytes, bytes]:
    # Exactly one bit is set, in the byte order of the host.
    return (
        nft.conntrack(nft.CT_STATE, nft.REGISTER_1),
        nft.compare(nft.REGISTER_1, nft.COMPARE_UNEQUAL, struct.pack("=I", state)),
    )


def _l4_protocol(protocol: bytes) -> tuple[bytes, bytes]:
    return (
        nft.meta(nft.META_L4PROTO, nft.REGISTER_1),
        nft.compare_equal(nft.REGISTER_1, protocol),
    )


def _not_from(interface: str) -> Narrowing:
    plain = interface.removesuffix("*").encode()
    # A whole name ends with a NUL, and the beginning of one does not.
    name = plain if interface.endswith("*") else plain.ljust(16, b"\0")
    return Narrowing(
        f"no helper: came in by {interface}",
        (
            nft.meta(nft.META_INTERFACE_NAME, nft.REGISTER_1),
            nft.compare_equal(nft.REGISTER_1, name),
            nft.counter(),
            nft.accept(),
        ),
    )


def _spoofed(anti_spoofing: AntiSpoofing) -> Iterator[Narrowing]:
    if anti_spoofing is AntiSpoofing.OFF:
        return
    strict = anti_spoofing is AntiSpoofing.STRICT
    flags = nft.FIB_SOURCE | (nft.FIB_BY_INTERFACE if strict else 0)
    yield Narrowing(
        f"no helper: {'came in where no answer leaves' if strict else 'from an unrouted address'}",
        (
            nft.fib_interface(flags, nft.REGISTER_1),
            nft.compare_equal(nft.REGISTER_1, _NOWHERE),
            nft.counter(),
            nft.accept(),
        ),
    )


# -- reading back ----------------------------------------------------------------------------------


class Counted(NamedTuple):
    """What one rule counted."""

    chain: str
    words: str
    packets: int
    bytes: int


def without_counts(expressions: tuple[Expression, ...]) -> tuple[Expression, ...]:
    """Return *expressions* as they were sent: what a counter has counted is no difference."""
    return tuple((name, ()) if name == "counter" else (name, told) for name, told in expressions)


def counted(
    dialogue: Dialogue, table: str, scope: SafeScope, helpers: frozenset[str]
) -> list[Counted]:
    """Read what the narrowing rules of *table* have counted.

    Raises: DataplaneError.
    """
    planned = {"prerouting": before_assignment(scope)}
    if scope.related:
        planned |= {each.name: related(scope, helpers) for each in RELATED_CHAINS}
    return [
        Counted(chain, rule.words, *_counts(expressions))
        for chain, rules in planned.items()
        for rule, expressions in zip(rules, _read(dialogue, table, chain), strict=False)
        if rule.words
    ]


def _read(dialogue: Dialogue, table: str, chain: str) -> list[tuple[Expression, ...]]:
    place = nft.rule_place(table, chain)
    return [read.rule(each).expressions for each in dialogue.dump(Operation.GETRULE, place)]


def _counts(expressions: tuple[Expression, ...]) -> tuple[int, int]:
    for name, told in expressions:
        if name == "counter":
            found = dict(told)
            return number(found.get(2, b"")), number(found.get(1, b""))
    return 0, 0
