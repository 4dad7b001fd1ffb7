"""How many assignments the kernel has in a netns: the witness of what is claimed."""

from ctherd.dataplane.nftables.observe import read_contents, read_table
from ctherd.netlink.dialogue import Dialogue


def assigned(dialogue: Dialogue) -> int:
    """Count what our own table assigns where *dialogue* leads."""
    table = read_table(dialogue)
    return len(read_contents(dialogue, table).live) if table else 0
