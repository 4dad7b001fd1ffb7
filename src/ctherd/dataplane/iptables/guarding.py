"""Reads and makes our places in the table security, and reads what all narrowing rules counted."""

import errno
from collections.abc import Collection, Iterable, Iterator
from itertools import zip_longest
from typing import Final

from ctherd.dataplane.iptables import narrowing, observe
from ctherd.dataplane.iptables.kernel import Kernel
from ctherd.dataplane.iptables.listing import Counted, Listing
from ctherd.dataplane.iptables.names import Names
from ctherd.dataplane.iptables.narrowing import SECURITY, Narrowing, entry_of
from ctherd.dataplane.iptables.place import Place
from ctherd.dataplane.iptables.programs import Programs
from ctherd.dataplane.iptables.variant import TABLE
from ctherd.errors import DataplaneError
from ctherd.model.catalog import Family
from ctherd.model.safe_scope import SafeScope

_RESTORES: Final = 2
"""So many restores in one commit, and somebody else is at work there."""


def read_security(
    kernel: Kernel, place: Place, names: Names, families: Iterable[Family]
) -> dict[Family, Listing]:
    """Return the table of each of *families* in which something of ours may be.

    Raises: CtherdError; OSError.
    """
    return {
        family: kernel.programs.save(place.netns_fd, family, SECURITY)
        for family in families
        if kernel.may_guard(place, family, names)
    }


def guard(kernel: Kernel, place: Place) -> int:
    """Narrow related connections as planned for what is live now; return how many commits it took.

    Raises: DataplaneError if the kernel does not take it, or others keep undoing it.
    """
    assert place.names is not None
    helpers = {key.helper for key in observe.live_in(place.sides)}
    return sum(_guard(kernel, place, family, helpers) for family in list(place.sides))


def _guard(kernel: Kernel, place: Place, family: Family, helpers: Collection[str]) -> int:
    wanted = place.guard_wanted(family, helpers)
    for commits in range(_RESTORES + 1):
        found = place.guard(family)
        if found.is_as(wanted):
            return commits
        if commits < _RESTORES:
            lines = list(found.lines(wanted))
            place.security[family] = kernel.programs.restore_guard(
                place.netns_fd, family, lines, SECURITY
            )
    raise DataplaneError(
        "narrow related connections", netns=place.namespace.name, errno=errno.EBUSY,
        words=f"others keep changing table {SECURITY} of {family}",
    )  # fmt: skip


def read_counts(
    programs: Programs, netns_fd: int, scope: SafeScope, names: Names, helpers: Collection[str]
) -> Iterator[tuple[Family, str, Narrowing, Counted]]:
    """Yield each rule that narrows and counts, with its chain and what it counted.

    Raises: CtherdError; OSError.
    """
    before = narrowing.before_assignment(scope, names)
    for family in Family:
        if before:
            chain = entry_of(names)
            counted = programs.save_counted(netns_fd, family, TABLE).get(chain, [])
            yield from _matched(family, chain, before, counted)
        related = narrowing.related(scope, names, helpers, family)
        if related:
            found = programs.save_counted(netns_fd, family, SECURITY)
            yield from _matched(family, names.chain, related, found.get(names.chain, []))


def _matched(
    family: Family, chain: str, rules: Iterable[Narrowing], counted: Iterable[Counted]
) -> Iterator[tuple[Family, str, Narrowing, Counted]]:
    for rule, count in zip_longest(rules, counted):
        if rule is not None and count is not None and rule.words and rule.text == count.text:
            yield family, chain, rule, count
