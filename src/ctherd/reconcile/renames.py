"""Which netns is known under another name: by its cookie, else by the mark that our table bears.

A cookie proves it; the kernel never gives one twice. It is not known after a restart, where the
old name is gone. Then the mark tells, which nobody can guess but anybody can copy: so it moves a
record only from a name that leads nowhere any more, and only to the single netns that bears it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from ctherd.errors import NetnsAbsent
from ctherd.model.document import NetnsName
from ctherd.model.observation import Observation
from ctherd.ports import Dataplane, ObserveRequest
from ctherd.reconcile.entry import Entry


def renamed(
    dataplane: Dataplane,
    entries: Mapping[NetnsName, Entry],
    wanted: Collection[NetnsName],
    *,
    complete: bool,
) -> dict[NetnsName, NetnsName]:
    """Return old name → new name of the netns that are declared under another name now.

    Shape: *wanted* are the declared names; with *complete* false there may be others, so that only
    a name which is gone can have been given up.
    """
    leaving = [name for name in entries if name not in wanted]
    coming = [name for name in wanted if name not in entries or entries[name].tag is None]
    if not (leaving and coming):
        return {}
    leads_to = dict(zip(leaving, dataplane.identify(leaving), strict=True))
    gone = [name for name, cookie in leads_to.items() if type(cookie) is NetnsAbsent]
    arrived = {
        name: cookie
        for name, cookie in zip(coming, dataplane.identify(coming), strict=True)
        if isinstance(cookie, int)
    }
    # A name that leads nowhere now may have led to what has another name since.
    given_up = {
        cookie if isinstance(cookie, int) else entries[name].last_cookie: name
        for name, cookie in leads_to.items()
        if complete or name in gone
    }
    known = {given_up.pop(each): new for new, each in arrived.items() if each in given_up}
    orphans = [entries[name] for name in gone if name not in known]
    unknown = [new for new in arrived if new not in known.values()]
    return known | _by_mark(dataplane, orphans, unknown)


def _by_mark(
    dataplane: Dataplane, orphans: Iterable[Entry], coming: Sequence[NetnsName]
) -> dict[NetnsName, NetnsName]:
    """Match records whose names are gone with netns that bear their mark."""
    marked = {str(entry.tag): entry.netns for entry in orphans if entry.tag is not None}
    if not (marked and coming):
        return {}
    bearers: dict[NetnsName, list[NetnsName]] = {}
    for seen in dataplane.observe([ObserveRequest(name, None) for name in coming]):
        if isinstance(seen, Observation) and seen.mark in marked:
            bearers.setdefault(marked[seen.mark], []).append(seen.netns)
    return {old: new for old, (new, *others) in bearers.items() if not others}
