"""Reading the audit: newest first, filtered, page by page."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from ctherd.authz.audit.chain import AUDIT, read_entry
from ctherd.errors import RemoteProtocolError
from ctherd.signing.canonical import Plain
from ctherd.store.port import Store, Stored

PAGE: Final = 100
_LOOK_AT_MOST: Final = 20_000
"""How many entries one call may look at, however few of them it is asked for."""

_STEP: Final = 500


@dataclass(frozen=True, slots=True)
class Filters:
    """What to look for; "" matches anything.

    Shape: *since* and *until* are RFC 3339, UTC, as the audit spells them, or a beginning of that;
    both are included. *project* is the caller's or the router's.
    """

    since: str = ""
    until: str = ""
    user: str = ""
    project: str = ""
    router: str = ""
    helper: str = ""
    action: str = ""
    decision: str = ""
    request_id: str = ""
    kind: str = ""

    def match(self, entry: Plain) -> bool:
        """Tell whether *entry* is looked for."""
        when = str(entry.get("when"))
        if when < self.since or (self.until and when[: len(self.until)] > self.until):
            return False
        return all(wanted in found for wanted, found in self._compared(entry) if wanted)

    def _compared(self, entry: Plain) -> Iterator[tuple[str, tuple[object, ...]]]:
        who = entry.get("who")
        who = who if isinstance(who, dict) else {}
        yield self.user, (who.get("user"),)
        yield self.project, (who.get("project"), entry.get("project"))
        for name in ("router", "helper", "action", "decision", "request_id", "kind"):
            yield getattr(self, name), (entry.get(name),)


class AuditPage(NamedTuple):
    """Entries, newest first, each as its chain has it; *marker* "" at the end of the audit.

    Shape: with a *marker* there may be more, even if no entry came: the call had looked enough.
    """

    entries: list[Plain]
    marker: str


async def query(
    store: Store, filters: Filters, *, marker: str = "", limit: int = PAGE
) -> AuditPage:
    """Return up to *limit* entries that match, from *marker* on.

    Shape: newest first within a chain, and chains in the reverse order of their starts; so, with
    several servers at once, the entries of each stand together.
    Raises: Unavailable.
    """
    found: list[Plain] = []
    looked_at = 0
    while looked_at < _LOOK_AT_MOST:
        stored = await store.page(AUDIT, after=marker, limit=_STEP, newest_first=True)
        for each in stored:
            marker = each.key
            entry = _entry(each)
            if filters.match(entry):
                found.append(entry)
            if len(found) == limit:
                return AuditPage(found, marker)
        looked_at += len(stored)
        if len(stored) < _STEP:
            return AuditPage(found, "")
    return AuditPage(found, marker)


def _entry(stored: Stored) -> Plain:
    try:
        return read_entry(stored.value)
    except RemoteProtocolError as error:
        # Shown rather than left out: somebody edited it, and whoever reads shall see where.
        return {"kind": "unreadable", "key": stored.key, "when": "", "error": str(error)}
