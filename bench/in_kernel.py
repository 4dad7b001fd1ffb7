"""How many assignments the kernel has in a netns: the witness of what is claimed."""

from contextlib import closing
from pathlib import Path

from ctherd import process
from ctherd.dataplane.nftables.observe import read_contents, read_table
from ctherd.model.document import NetnsName
from ctherd.netlink.dialogue import Dialogue
from ctherd.netns.directory import NetnsDirectory


def of_iptables(path: Path) -> int:
    """Count the rules of both families in the netns *path*, which must be equally many."""
    directory = NetnsDirectory(path.parent)
    with directory.held(NetnsName(path.name)) as netns_fd:
        v4, v6 = (
            process.run([program, "-t", "raw"], netns_fd=netns_fd).stdout.count("--helper")
            for program in ("iptables-save", "ip6tables-save")
        )
    assert v4 == v6, (path, v4, v6)
    return v4


def of_nftables(path: Path) -> int:
    """Count what our own table in the netns *path* assigns."""
    with closing(NetnsDirectory(path.parent).open(NetnsName(path.name))) as namespace:
        return assigned(Dialogue(namespace.transport, namespace.name))


def assigned(dialogue: Dialogue) -> int:
    """Count what our own table assigns where *dialogue* leads."""
    table = read_table(dialogue)
    return len(read_contents(dialogue, table).live) if table else 0
