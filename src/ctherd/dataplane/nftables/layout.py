"""What our table looks like: names, hooks, maps and the two or more rules that use them.

The table, as `nft` would write it if its grammar knew object maps (the prefix maps and their
rules exist only while an assignment names destinations of that family)::

    table inet ctherd {                        # flags owner, persist; comment "ctherd <tag>"
        ct helper ftp-tcp { type "ftp" protocol tcp }
        map assign  { type inet_proto . inet_service : ct helper }
        map assign4 { type inet_proto . inet_service . ipv4_addr : ct helper; flags interval }
        chain prerouting {
            type filter hook prerouting priority -150
            ct helper set meta l4proto . th dport map @assign
            meta nfproto ipv4 ct helper set meta l4proto . th dport . ip daddr map @assign4
        }
        chain output { the same at hook output, for the router's own connections }
    }

Priority −150 is after conntrack (−200), without which a rule silently does nothing, and before
destination NAT (−100): so destinations are those that the client addressed. What the policy adds to
narrow helpers is in ``narrowing``.
"""

from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Final, NamedTuple

from ctherd.dataplane.nftables import narrowing
from ctherd.dataplane.nftables.narrowing import BaseChain
from ctherd.model.assignment import AssignmentKey, Destinations, Prefix, family_of
from ctherd.model.catalog import Family, Protocol
from ctherd.model.safe_scope import SafeScope
from ctherd.netlink import nf_tables as nft
from ctherd.netlink.nf_tables import Element

TABLE: Final = "ctherd"
_NO_HELPERS: Final[frozenset[str]] = frozenset()
PRIORITY: Final = -150
CHAINS: Final = (
    BaseChain("prerouting", nft.HOOK_PREROUTING, PRIORITY),
    BaseChain("output", nft.HOOK_OUTPUT, PRIORITY),
)

_MARK_PREFIX: Final = "ctherd "
# Three adjacent registers make the key. The first one's 4-byte name and its 16-byte name are one
# register, which the kernel prints by the latter.
_L4: Final = nft.REGISTER_1
_PORT: Final = nft.REGISTER_32_00 + 1
_ADDRESS: Final = nft.REGISTER_32_00 + 2


class MapShape(NamedTuple):
    """One of our maps. Shape: *family* None serves any destination."""

    name: str
    family: Family | None
    types: tuple[int, ...]
    lengths: tuple[int, ...]

    @property
    def key_length(self) -> int:
        """Bytes of a key, each part filling whole registers."""
        return sum((length + 3) & ~3 for length in self.lengths)


_BASE_TYPES = (nft.TYPE_INET_PROTOCOL, nft.TYPE_INET_SERVICE)
ANY_MAP: Final = MapShape("assign", None, _BASE_TYPES, (1, 2))
IPV4_MAP: Final = MapShape("assign4", Family.IPV4, (*_BASE_TYPES, nft.TYPE_IPV4_ADDRESS), (1, 2, 4))
IPV6_MAP: Final = MapShape(
    "assign6", Family.IPV6, (*_BASE_TYPES, nft.TYPE_IPV6_ADDRESS), (1, 2, 16)
)
MAPS: Final = (ANY_MAP, IPV4_MAP, IPV6_MAP)


def mark(tag: str) -> str:
    """Return the table comment that says the table is ours."""
    return _MARK_PREFIX + tag


def tag_of(comment: str) -> str:
    """Return the tag that a table comment bears, or "" if it is none of ctherd's."""
    return comment.removeprefix(_MARK_PREFIX) if comment.startswith(_MARK_PREFIX) else ""


@cache
def object_name(helper: str, protocol: Protocol) -> str:
    """Return the name of the object that every assignment of *helper* on *protocol* shares."""
    return f"{helper}-{protocol}"


def maps_for(scopes: Iterable[Destinations]) -> tuple[MapShape, ...]:
    """Return the maps that the destinations of a set of assignments need."""
    needed = {family_of(prefix) for scope in scopes for prefix in scope}
    return tuple(shape for shape in MAPS if shape.family is None or shape.family in needed)


def chains(scope: SafeScope) -> tuple[BaseChain, ...]:
    """Return the chains of our table."""
    return (*CHAINS, *narrowing.RELATED_CHAINS) if scope.related else CHAINS


def helpers_in(keys: Iterable[AssignmentKey], scope: SafeScope) -> frozenset[str]:
    """Return the helpers of *keys*, as far as the rules of *scope* differ by them."""
    return frozenset(key.helper for key in keys) if scope.related else _NO_HELPERS


def rules(
    chain: str, shapes: tuple[MapShape, ...], scope: SafeScope, helpers: frozenset[str]
) -> tuple[tuple[bytes, ...], ...]:
    """Return the rules of *chain*, as expressions, where these maps and *helpers* are."""
    assigning = tuple(map(rule_expressions, shapes))
    if chain == "prerouting":
        before = narrowing.before_assignment(scope)
    elif chain == "output":
        before = ()
    else:
        return tuple(each.expressions for each in narrowing.related(scope, helpers))
    return (*(each.expressions for each in before), *assigning)


@cache
def rule_expressions(shape: MapShape) -> tuple[bytes, ...]:
    """Return the expressions of the rule that looks a packet up in *shape*."""
    load = (
        nft.meta(nft.META_L4PROTO, _L4),
        nft.payload(nft.PAYLOAD_TRANSPORT_HEADER, 2, 2, _PORT),
    )
    assign = nft.object_from_map(_L4, shape.name)
    if shape.family is None:
        return (*load, assign)
    v4 = shape.family is Family.IPV4
    protocol, offset, length = (nft.NFPROTO_IPV4, 16, 4) if v4 else (nft.NFPROTO_IPV6, 24, 16)
    return (
        nft.meta(nft.META_NFPROTO, nft.REGISTER_1),
        nft.compare_equal(nft.REGISTER_1, bytes((protocol,))),
        *load,
        nft.payload(nft.PAYLOAD_NETWORK_HEADER, offset, length, _ADDRESS),
        assign,
    )


@lru_cache(maxsize=4096)
def elements(
    key: AssignmentKey, destinations: Destinations
) -> tuple[tuple[MapShape, Element], ...]:
    """Return the map elements that make one assignment true."""
    target = object_name(key.helper, key.protocol)
    base = nft.u8_key(key.protocol.number) + nft.u16_key(key.port)
    if not destinations:
        return ((ANY_MAP, Element(base, None, target)),)
    return tuple(
        (
            _shape_of(prefix),
            Element(
                base + prefix.network_address.packed,
                base + prefix.broadcast_address.packed,
                target,
            ),
        )
        for prefix in destinations
    )


@cache
def around_port(helper: str, protocol: Protocol) -> tuple[bytes, bytes]:
    """Return what precedes and what follows the port in an element of ANY_MAP.

    Nothing else differs between the elements of one helper on one protocol.
    """
    port = b"\xfe\xfe"  # occurs in no name, which is UTF-8, and in no length
    key = nft.u8_key(protocol.number) + port + b"\0\0"
    before, after = nft.element(key, None, object_name(helper, protocol)).split(port)
    return before, after


def _shape_of(prefix: Prefix) -> MapShape:
    return IPV4_MAP if family_of(prefix) is Family.IPV4 else IPV6_MAP
