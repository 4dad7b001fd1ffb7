"""The tables of nf_tables that are nobody else's: listed by nft, and loaded again.

A table goes as a whole where it can. Not every listing can be loaded again; then chain by chain,
set by set and rule by rule, and what is refused is listed.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from ctherd import process
from ctherd.dataplane.ruleset import FAMILIES, list_tables
from ctherd.errors import CtherdError
from ctherd.netlink.dialogue import Dialogue
from ctherd.process import Completed
from ctherd.verify.copy.missing import Missing

# Those of a table stand one tab in, those of its sets two.
_FLAGS: Final = re.compile(r"^\tflags ([^\n]*)\n", re.MULTILINE)
_IN_ORDER: Final = (
    "table",
    "counter",
    "quota",
    "ct helper",
    "ct timeout",
    "ct expectation",
    "limit",
    "secmark",
    "synproxy",
    "flowtable",
    "set",
    "map",
    "chain",
    "element",
    "rule",
)

Table = tuple[str, str]


def tables(there: Dialogue) -> list[Table]:
    """Return all tables, oldest first, by nft's names of family and table.

    The kernel is asked, because of a table with the flag ``persist``, as ours is one, nft 1.0.6
    lists whatever stands behind the names of the flags that it knows: words or half a JSON.
    Raises: DataplaneError.
    """
    return [(FAMILIES[each.family], each.name) for each in list_tables(there)]


def copy_table(from_fd: int, to_fd: int, table: Table, missing: Missing) -> None:
    """Copy *table*, or as much of it as can be loaded again."""
    try:
        _copy(from_fd, to_fd, table, missing)
    except (CtherdError, ValueError, KeyError) as error:
        missing.add(f"table {' '.join(table)}: {error}")


def _copy(from_fd: int, to_fd: int, table: Table, missing: Missing) -> None:
    listed = process.run(["nft", "-s", "list", "table", *table], netns_fd=from_fd).stdout
    pieces = _pieces(from_fd, table)
    if not any(map(_opaque, pieces)):
        said = _FLAGS.sub(_flags, listed)
        if not _load(to_fd, ["nft", "-f", "-"], said).returncode:
            return
        if not pieces:
            raise ValueError("nft can neither load nor take apart what it lists of it")
    for piece in pieces:
        _copy_piece(to_fd, piece, missing)


def _flags(found: re.Match[str]) -> str:
    """Return the flags that a table has in the copy.

    One that its owner guards would go with the program that loads it; and flags that nft does not
    know, such as ``persist`` in 1.0.6, it lists as something that it cannot read.
    """
    return "\tflags dormant\n" if "dormant" in found[1] else ""


def _load(to_fd: int, argv: list[str], said: str) -> Completed:
    return process.run(argv, input=said, netns_fd=to_fd, check=False)


def _pieces(from_fd: int, table: Table) -> list[dict[str, Any]]:
    """Return what is in *table*, piece by piece, in an order in which it can be made.

    Nothing if nft makes half a JSON of it, as it does of flags that it does not know.
    """
    said = process.run(["nft", "-j", "-s", "list", "table", *table], netns_fd=from_fd).stdout
    try:
        found = [each for each in json.loads(said)["nftables"] if "metainfo" not in each]
    except ValueError:
        return []
    return sorted(found, key=lambda each: _rank(next(iter(each))))


def _rank(kind: str) -> int:
    return _IN_ORDER.index(kind) if kind in _IN_ORDER else 0


def _opaque(piece: dict[str, Any]) -> bool:
    """Tell whether nft lists *piece* without being able to say what it does."""
    return any("xt" in each for each in _expressions(piece))


def _expressions(piece: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for each in piece.get("rule", {}).get("expr", ()):
        if isinstance(each, dict):
            yield each


def _copy_piece(to_fd: int, piece: dict[str, Any], missing: Missing) -> None:
    kind, what = next(iter(piece.items()))
    name = f"{kind} {what.get('name', '')} of table {what['family']} {what.get('table', '')}"
    if kind == "rule":
        name = f"a rule of chain {what['chain']} of table {what['family']} {what['table']}"
    if _opaque(piece):
        missing.add(f"{name} (handle {what['handle']}): nft cannot say what it does (xt)")
        return
    what.pop("handle", None)
    if kind == "table":
        what.pop("flags", None)
    done = _load(to_fd, ["nft", "-j", "-f", "-"], json.dumps({"nftables": [{"add": piece}]}))
    if done.returncode:
        missing.add(f"{name}: {done.output}")
