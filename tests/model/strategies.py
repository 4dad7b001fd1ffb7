"""Hypothesis strategies for the model's values: few names and ports, so that they often collide."""

from ipaddress import IPv4Network, IPv6Network

from hypothesis import strategies as st

from ctherd.model.assignment import (
    ANY,
    Assignment,
    AssignmentId,
    AssignmentKey,
    Destinations,
    Prefix,
    collapse,
)
from ctherd.model.catalog import HELPERS, Family, Helper, Protocol

PORTS = st.sampled_from([21, 5060, 65535])


def v4_prefixes() -> st.SearchStrategy[Prefix]:
    """Prefixes in a small IPv4 space, so that they overlap and touch."""
    lengths = st.integers(24, 32)
    return st.builds(
        lambda host, length: IPv4Network((0xCB007100 | host, length), strict=False),
        st.integers(0, 255),
        lengths,
    )


def v6_prefixes() -> st.SearchStrategy[Prefix]:
    """Prefixes in a small IPv6 space."""
    return st.builds(
        lambda host, length: IPv6Network(((0x20010DB8 << 96) | host, length), strict=False),
        st.integers(0, 255),
        st.integers(120, 128),
    )


def destinations(families: tuple[Family, ...] = tuple(Family)) -> st.SearchStrategy[Destinations]:
    """Collapsed destinations in *families*; often ANY."""
    prefixes = v4_prefixes()
    if Family.IPV6 in families:
        prefixes = prefixes | v6_prefixes()
    return st.just(ANY) | st.lists(prefixes, max_size=6).map(collapse)


@st.composite
def assignments(draw: st.DrawFn) -> Assignment:
    """Any assignment that the catalog allows."""
    helper: Helper = draw(st.sampled_from(HELPERS))
    protocol: Protocol = draw(st.sampled_from(helper.protocols))
    port: int = draw(PORTS)
    name = f"{protocol}/{port}/{helper.name}"
    return Assignment(
        AssignmentId(name), helper.name, protocol, port, draw(destinations(helper.families))
    )


KEYS = [
    AssignmentKey(Protocol.TCP, 21, "ftp"),
    AssignmentKey(Protocol.TCP, 2121, "ftp"),
    AssignmentKey(Protocol.UDP, 69, "tftp"),
    AssignmentKey(Protocol.UDP, 5060, "sip"),
]


def states() -> st.SearchStrategy[dict[AssignmentKey, Destinations]]:
    """What one router has, or shall have: often nothing, else a few keys and destinations."""
    few = st.sampled_from([ANY, collapse([IPv4Network("203.0.113.0/24")])])
    return st.just({}) | st.dictionaries(st.sampled_from(KEYS), few)
