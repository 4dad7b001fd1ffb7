"""Tables in the order in which the kernel got them, whatever their family and flags."""

import pytest

from ctherd.dataplane.ruleset import FAMILIES, list_tables
from ctherd.lab.namespace import Namespace
from ctherd.netlink import nf_tables as nft
from ctherd.netlink.dialogue import Dialogue
from ctherd.netlink.nf_tables import TableFlag

pytestmark = pytest.mark.root


def test_the_oldest_comes_first(netns: Namespace, netns_dialogue: Dialogue) -> None:
    """Over families, too; and a table that persists is named, which nft 1.0.6 cannot list."""
    netns.run(["nft", "add table ip6 zulu; add table inet yankee"])
    made = nft.new_table("xray", TableFlag.PERSIST, "", exclusive=True)
    assert not netns_dialogue.commit([made], None)
    netns.run(["nft", "add table arp whiskey; add table ip6 victor"])
    assert [(FAMILIES[each.family], each.name) for each in list_tables(netns_dialogue)] == [
        ("ip6", "zulu"),
        ("inet", "yankee"),
        ("inet", "xray"),
        ("arp", "whiskey"),
        ("ip6", "victor"),
    ]
