"""Whatever is not planned in our table, or missing, is named and healed."""

from collections.abc import Mapping
from typing import cast

import pytest

from ctherd.dataplane.nftables import layout
from ctherd.model.assignment import ANY
from ctherd.model.observation import Ownership
from ctherd.netlink import nf_tables as nft
from ctherd.netlink.nf_tables import Element, Operation, Request
from tests.dataplane.contract import FTP, FTP_2121, TFTP, V4, Router, succeed, whole

# What ctherd itself never asks for, and others do.
_DELCHAIN = cast(Operation, 5)
_DELRULE = cast(Operation, 8)

_UDP_2121 = nft.u8_key(17) + nft.u16_key(2121)

VANDALISM: Mapping[str, Request] = {
    "a base chain": nft.new_base_chain(layout.TABLE, "theirs", nft.HOOK_PREROUTING, 0),
    "a rule": nft.new_rule(layout.TABLE, "output", layout.rule_expressions(layout.ANY_MAP)),
    "an object": nft.new_ct_helper(layout.TABLE, "theirs", "ftp", 6),
    "an object of ours that nothing uses": nft.new_ct_helper(layout.TABLE, "sip-udp", "sip", 17),
    "a map": nft.new_object_map(layout.TABLE, "theirs", (12, 13), (1, 2), interval=False),
    "a map of ours that nothing uses": nft.new_object_map(
        layout.TABLE, "assign6", layout.IPV6_MAP.types, layout.IPV6_MAP.lengths, interval=True
    ),
    "an element": nft.new_elements(layout.TABLE, "assign", [Element(_UDP_2121, None, "ftp-tcp")])[
        0
    ],
    "the rules of a chain are gone": Request(
        _DELRULE, 0, nft.rule_place(layout.TABLE, "prerouting")
    ),
}


@pytest.mark.parametrize("what", VANDALISM)
def test_damage_is_named_and_healed_by_one_commit(unguarded: Router, what: str) -> None:
    """What is not planned, or missing, is told in words; one commit leaves only the plan."""
    desired = {FTP: ANY, TFTP: V4}
    unguarded.converge(desired)
    unguarded.world.stranger(VANDALISM[what])
    assert unguarded.look().damage != ()
    succeed(unguarded.converge(desired))
    assert unguarded.state() == whole(desired)


@pytest.mark.parametrize("chain", layout.CHAINS)
def test_a_lost_chain_means_that_nothing_works(unguarded: Router, chain: str) -> None:
    """Elements in the maps have no effect without the rules: they do not count as live."""
    desired = {FTP: ANY, TFTP: V4}
    unguarded.converge(desired)
    place = nft.rule_place(layout.TABLE, chain)
    unguarded.world.stranger(
        Request(_DELRULE, 0, place), Request(_DELCHAIN, 0, nft.chain_name(layout.TABLE, chain))
    )
    seen = unguarded.look()
    assert dict(seen.live) == {}
    assert f"chain {chain} is missing or hooked elsewhere" in seen.damage
    succeed(unguarded.converge(desired))
    assert unguarded.state() == whole(desired)


def test_a_lost_element_is_an_absent_assignment(unguarded: Router) -> None:
    """It is no damage: the plan makes the assignment again, and nothing else."""
    unguarded.converge({FTP: ANY, TFTP: V4})
    key = layout.elements(FTP, ANY)[0][1]
    unguarded.world.stranger(*nft.del_elements(layout.TABLE, "assign", [key]))
    assert dict(unguarded.look().live) == {TFTP: V4}
    succeed(unguarded.converge({FTP: ANY, TFTP: V4}))
    assert unguarded.state() == whole({FTP: ANY, TFTP: V4})


def test_an_added_element_is_a_live_assignment(unguarded: Router) -> None:
    """Somebody else's assignment through our maps works, so it is observed, and can be removed."""
    unguarded.converge({FTP: ANY})
    shape, element = layout.elements(FTP_2121, ANY)[0]
    unguarded.world.stranger(*nft.new_elements(layout.TABLE, shape.name, [element]))
    assert dict(unguarded.look().live) == {FTP: ANY, FTP_2121: ANY}
    succeed(unguarded.converge({FTP: ANY}))
    assert unguarded.state() == whole({FTP: ANY})


def test_a_deleted_table_is_made_again(unguarded: Router) -> None:
    """The bluntest damage of all."""
    unguarded.converge({FTP: ANY, TFTP: V4})
    unguarded.world.stranger(nft.del_table(layout.TABLE))
    assert unguarded.look().ownership is Ownership.ABSENT
    succeed(unguarded.converge({FTP: ANY, TFTP: V4}))
    assert unguarded.state() == whole({FTP: ANY, TFTP: V4})
