"""The rules of iptables, both variants, and the ipsets they use: saved there, restored here."""

import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from ctherd import process
from ctherd.dataplane.iptables.lock import XtablesLock
from ctherd.dataplane.iptables.variant import Variant
from ctherd.errors import CtherdError
from ctherd.model.catalog import Family
from ctherd.netns.enter import entered
from ctherd.verify.copy.missing import Missing

_NAMES: Final[Mapping[Family, str]] = {
    Family.IPV4: "ip_tables_names",
    Family.IPV6: "ip6_tables_names",
}
_NFT_FAMILY: Final[Mapping[Family, str]] = {Family.IPV4: "ip", Family.IPV6: "ip6"}
_AT_LINE: Final = re.compile(r"\bline:? (\d+)")
_MOST_REFUSED: Final = 40

Table = tuple[str, str]
"""A table of nf_tables by nft's names of its family and itself."""


def copy_ipsets(from_fd: int, to_fd: int, missing: Missing) -> None:
    """Copy ipsets, where there is a program that knows of any.

    Without it a rule that uses one cannot be restored either, and is listed then.
    """
    if shutil.which("ipset") is None:
        return
    saved = process.run(["ipset", "save"], netns_fd=from_fd, check=False)
    if not saved.stdout:
        return
    done = process.run(["ipset", "restore"], input=saved.stdout, netns_fd=to_fd, check=False)
    if done.returncode:
        missing.add(f"ipsets: {done.output}")


def copy_legacy(from_fd: int, to_fd: int, missing: Missing) -> None:
    """Copy what iptables-legacy has, where it has anything: asking it else would make tables."""
    for family in Family:
        if _tables(from_fd, family):
            saved = _saved(from_fd, Variant.LEGACY, family, missing)
            _restore(to_fd, Variant.LEGACY, family, saved, missing)


def save_nft(from_fd: int, missing: Missing) -> dict[Table, list[str]]:
    """Return what iptables-nft saves, table by table: only those that are as it makes them."""
    tables: dict[Table, list[str]] = {}
    for family in Family:
        for line in _saved(from_fd, Variant.NFT, family, missing):
            if line.startswith("*"):
                lines = tables[_NFT_FAMILY[family], line[1:]] = []
            lines.append(line)
    return tables


def restore_nft(to_fd: int, table: Table, lines: list[str], missing: Missing) -> None:
    """Restore one table that ``save_nft`` returned."""
    family = next(each for each, name in _NFT_FAMILY.items() if name == table[0])
    _restore(to_fd, Variant.NFT, family, lines, missing)


def legacy_tables(netns_fd: int) -> set[str]:
    """Return the tables that iptables-legacy has in the netns, of any family.

    Raises: OSError if the netns may not be entered.
    """
    return {name for family in Family for name in _tables(netns_fd, family)}


def _tables(netns_fd: int, family: Family) -> list[str]:
    with entered(netns_fd):
        try:
            names = Path("/proc/thread-self/net", _NAMES[family]).read_text(encoding="utf-8")
        except OSError:
            return []
    return names.split()


def _saved(netns_fd: int, variant: Variant, family: Family, missing: Missing) -> list[str]:
    program = variant.program(family, "save")
    if shutil.which(program) is None:
        return []
    try:
        said = process.run([program], netns_fd=netns_fd).stdout
    except CtherdError as error:
        missing.add(f"{program}: {error.what}")
        return []
    return [line for line in said.splitlines() if line and not line.startswith("#")]


def _restore(
    netns_fd: int, variant: Variant, family: Family, lines: list[str], missing: Missing
) -> None:
    """Restore *lines*; one that is refused is listed, and left out."""
    program, lock = variant.program(family, "restore"), XtablesLock()
    left = list(lines)
    for _ in range(_MOST_REFUSED if lines else 0):
        said = "\n".join(left) + "\n"
        # The lock is the whole host's, and nobody else knows this netns.
        env = lock.environment
        done = process.run([program], input=said, netns_fd=netns_fd, env=env, check=False)
        if done.returncode == 0:
            return
        at = next(_lines_at_fault(done.output, left), None)
        if at is None:
            missing.add(f"{program}: {done.output}")
            return
        missing.add(f"{program} refuses `{left.pop(at)}`: {done.output}")
    if lines:
        missing.add(f"{program} refuses too many rules: none of them is in the copy")


def _lines_at_fault(said: str, lines: list[str]) -> Iterator[int]:
    for match in _AT_LINE.finditer(said):
        at = int(match[1]) - 1
        # COMMIT is at fault for what it carries, and leaving it out would help nobody.
        if 0 <= at < len(lines) and lines[at].startswith(("-", ":")):
            yield at
