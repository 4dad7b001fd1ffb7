"""The other variant of iptables, where it has rules too: the kernel obeys both, few look twice."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ctherd import process
from ctherd.dataplane.finding import Finding, FindingKind, Place
from ctherd.dataplane.iptables.variant import Variant
from ctherd.errors import CtherdError
from ctherd.model.catalog import Family
from ctherd.netns.enter import entered

_NFT_FAMILY: Final = {Family.IPV4: "ip", Family.IPV6: "ip6"}
_NAMES: Final = {Family.IPV4: "ip_tables_names", Family.IPV6: "ip6_tables_names"}


def find(netns_fd: int, used: Variant, proc: Path = Path("/proc")) -> Iterator[Finding]:
    """Yield a finding for each family in which the variant that is not *used* has rules.

    Raises: OSError if the netns may not be entered.
    """
    other = Variant.LEGACY if used is Variant.NFT else Variant.NFT
    for family in Family:
        if other is Variant.LEGACY and not _has_legacy_tables(netns_fd, family, proc):
            continue  # asking its program would make them
        count = _rules(netns_fd, other, family)
        if count:
            yield Finding(
                FindingKind.OTHER_VARIANT,
                Place(_NFT_FAMILY[family], "*", legacy=other is Variant.LEGACY),
                f"{count} rules of {other} are in force beside those of {used}, which ctherd uses "
                "here: the kernel obeys both",
            )


def _has_legacy_tables(netns_fd: int, family: Family, proc: Path) -> bool:
    with entered(netns_fd):
        try:
            return bool((proc / "thread-self/net" / _NAMES[family]).read_text(encoding="utf-8"))
        except OSError:
            return False


def _rules(netns_fd: int, variant: Variant, family: Family) -> int:
    try:
        saved = process.run([variant.program(family, "save")], netns_fd=netns_fd).stdout
    except CtherdError:
        return 0  # without its program nobody here uses it
    return sum(line.startswith("-A ") for line in saved.splitlines())
