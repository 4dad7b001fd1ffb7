"""Somebody else who changes the ruleset of a namespace: ``python -m bench.foreign PER_SECOND``.

Runs in a process of its own, so that it does not share the interpreter's lock with what is
measured. Adds and removes an element in a table of its own, at an even pace, until its stdin ends;
then says how many commits it made, and in how many seconds.
"""

import select
import sys
import time
from collections.abc import Sequence
from typing import Final

from ctherd.demo.lifeline import announce
from ctherd.netlink import nf_tables as nft
from ctherd.netlink.dialogue import Dialogue
from ctherd.netlink.nf_tables import Element, Request, TableFlag
from ctherd.netlink.socket import NetlinkSocket

_TABLE: Final = "ctbench-foreign"
_TYPES: Final = (nft.TYPE_INET_PROTOCOL, nft.TYPE_INET_SERVICE)
_ELEMENT: Final = Element(nft.u8_key(6) + nft.u16_key(21), None, "ftp")


def write_until_told(dialogue: Dialogue, per_second: int) -> tuple[int, float]:
    """Commit at an even pace; return the number of commits and the seconds they took."""
    turn = (
        nft.new_elements(_TABLE, "map", [_ELEMENT]),
        nft.del_elements(_TABLE, "map", [_ELEMENT]),
    )
    started_s = time.monotonic()
    commits = 0
    while True:
        due_s = started_s + commits / per_second
        if select.select([sys.stdin], [], [], max(0.0, due_s - time.monotonic()))[0]:
            return commits, time.monotonic() - started_s
        _commit(dialogue, turn[commits % 2])
        commits += 1


def _commit(dialogue: Dialogue, requests: Sequence[Request]) -> None:
    if errors := dialogue.commit(requests, None):
        raise SystemExit(str(errors))


def main(per_second: int) -> None:
    """Write into the netns in which this process runs."""
    dialogue = Dialogue(NetlinkSocket(), "foreign")
    _commit(
        dialogue,
        [
            nft.new_table(_TABLE, TableFlag(0), "", exclusive=False),
            nft.new_ct_helper(_TABLE, "ftp", "ftp", 6),
            nft.new_object_map(_TABLE, "map", _TYPES, (1, 2), interval=False),
        ],
    )
    announce()
    commits, taken_s = write_until_told(dialogue, per_second)
    sys.stdout.write(f"{commits} {taken_s}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
