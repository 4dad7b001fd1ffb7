"""What happens, for whoever wants to watch: declarations, statuses, repairs, hosts that go silent.

Events are worked out only while somebody listens. A listener hears what concerns his own project,
and where it happens only if he may know; nothing is kept, so whoever comes late asks the API first.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from ctherd.model.document import RouterId
from ctherd.model.router import DeclaredHelper, HostName, ProjectId, Router
from ctherd.service.hosts import Hosts
from ctherd.service.mailbox import Mailbox
from ctherd.service.moments import utc_now
from ctherd.service.records import ROUTERS, STATUSES
from ctherd.service.refusals import RecordUnsound
from ctherd.service.report import Happening
from ctherd.service.reports import Reports
from ctherd.service.router_book import RouterBook
from ctherd.signing.canonical import Plain
from ctherd.store.mirror import Mirror
from ctherd.store.port import Batch

_CAPACITY: Final = 1024 * 1024
_HEARTBEAT_S: Final = 15.0
_PLACES: Final = frozenset({"host", "netns", "placements"})

Frame = Callable[[Plain], bytes]
"""Spells an event for the wire."""


@dataclass(eq=False, slots=True)
class Listener:
    """Somebody who listens.

    Shape: *project* None hears everything; *sees_places*: he may know hosts and namespaces.
    """

    project: ProjectId | None
    frame: Frame
    sees_places: bool
    mailbox: Mailbox = field(default_factory=lambda: Mailbox(_CAPACITY))

    def hear(self, event: Plain) -> None:
        """Take *event*, less what he may not know."""
        if not self.sees_places:
            event = _without_places(event)
        self.mailbox.put(self.frame(event))


class Happenings:
    """Tells listeners; must be made after *book*, whose change it tells."""

    def __init__(self, mirror: Mirror, book: RouterBook, hosts: Hosts, reports: Reports) -> None:
        self._mirror = mirror
        self._book = book
        self._listeners: set[Listener] = set()
        self._ended = False
        self._routers: dict[RouterId, Router] = {}
        self._statuses: dict[str, Plain] = {}
        self._beating: asyncio.Task[None] | None = None
        self._stop = mirror.subscribe(self._follow)
        hosts.on_life(self._on_life)
        reports.on_happening(self._on_happening)

    def start(self) -> None:
        """Begin to say that there is nothing to say."""
        self._beating = asyncio.create_task(self._beat(), name="event-heartbeats")

    @property
    def listening(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def end(self) -> None:
        """Let every listener go, now and from now on: an HTTP server waits for them to stop."""
        self._ended = True
        for listener in self._listeners:
            listener.mailbox.close()

    async def close(self) -> None:
        """Follow the mirror no longer."""
        self.end()
        self._stop()
        if self._beating is not None:
            self._beating.cancel()
            with suppress(asyncio.CancelledError):
                await self._beating

    def listen(self, project: ProjectId | None, frame: Frame, *, sees_places: bool) -> Listener:
        """Return a listener that hears *project*, None: everything."""
        if not self._listeners:
            self._look()
        listener = Listener(project, frame, sees_places)
        self._listeners.add(listener)
        if self._ended:
            listener.mailbox.close()
        return listener

    def leave(self, listener: Listener) -> None:
        """He listens no longer."""
        listener.mailbox.close()
        self._listeners.discard(listener)
        if not self._listeners:
            self._routers.clear()
            self._statuses.clear()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_HEARTBEAT_S)
            for listener in self._listeners:
                listener.hear({"type": "heartbeat"})

    def _look(self) -> None:
        """Learn what is so now: only from there can a change be told."""
        for stored in self._mirror.under(ROUTERS):
            self._learn(RouterId(stored.key.removeprefix(ROUTERS)))
        self._statuses = {each.key: _plain(each.value) for each in self._mirror.under(STATUSES)}

    def _learn(self, name: RouterId) -> Router | None:
        with suppress(RecordUnsound):
            kept = self._book.find(name)
            if kept is not None:
                self._routers[name] = kept.router
                return kept.router
        return None

    def _follow(self, batch: Batch) -> None:
        if not self._listeners:
            return
        for key, value, _ in batch.events:
            if key.startswith(ROUTERS):
                self._router_changed(RouterId(key.removeprefix(ROUTERS)))
            elif key.startswith(STATUSES):
                self._status_changed(key, value)

    # -- routers and helpers ---------------------------------------------------------------------

    def _router_changed(self, name: RouterId) -> None:
        before = self._routers.pop(name, None)
        after = self._learn(name)
        owner = after or before
        if owner is None:
            return
        self._tell(owner.project, {"type": "router", **_change(before, after), **_router(owner)})
        for helper in _helper_changes(before, after):
            self._tell(owner.project, {"type": "helper", "router": name, **helper})

    # -- statuses --------------------------------------------------------------------------------

    def _status_changed(self, key: str, value: bytes | None) -> None:
        before = self._statuses.pop(key, {})
        if value is None:
            return
        after = self._statuses[key] = _plain(value)
        host, router, netns = key.removeprefix(STATUSES).split("/", 2)
        where: Plain = {"host": host, "router": router, "netns": netns}
        project = self._project(RouterId(router))
        if after.get("refused") and after.get("refused") != before.get("refused"):
            self._tell(project, {"type": "refused", **where, "reason": after["refused"]})
        for words in _news(before, after):
            self._tell(project, {"type": "status", **where, **words})

    # -- what is nowhere written -----------------------------------------------------------------

    def _on_happening(self, host: HostName, happening: Happening) -> None:
        words: Plain = {
            "type": happening.what,
            "host": host,
            "router": happening.router,
            "netns": happening.netns,
            "at": happening.when,
            "ms": happening.ms,
            "words": happening.words,
        }
        self._tell(self._project(happening.router), words)

    def _on_life(self, host: HostName, alive: bool) -> None:
        self._tell(None, {"type": "host", "host": host, "alive": alive})

    def _project(self, router: RouterId) -> ProjectId | None:
        known = self._routers.get(router)
        return known.project if known is not None else None

    def _tell(self, project: ProjectId | None, event: Plain) -> None:
        """Tell those who may hear of *project*; of None, only who hears everything."""
        event = {"when": utc_now(), "project": project, **event}
        for listener in self._listeners:
            if listener.project is None or (project is not None and listener.project == project):
                listener.hear(event)


def _without_places(event: Plain) -> Plain:
    """Return *event* for a tenant; why a host refuses a document may name others' hosts, too."""
    hidden = _PLACES | {"reason"} if event["type"] == "refused" else _PLACES
    return {name: value for name, value in event.items() if name not in hidden}


def _change(before: object, after: object) -> Plain:
    if before is None:
        return {"change": "declared"}
    return {"change": "deleted" if after is None else "changed"}


def _router(router: Router) -> Plain:
    return {
        "router": router.id,
        "name": router.name,
        "revision_number": router.revision_number,
        "placements": [list(each) for each in router.placements],
    }


def _helper_changes(before: Router | None, after: Router | None) -> Iterator[Plain]:
    old = before.helpers if before is not None else {}
    new = after.helpers if after is not None else {}
    for name in {**old, **new}:
        was, is_now = old.get(name), new.get(name)
        if was != is_now:
            shown = is_now or was
            assert shown is not None
            yield {**_change(was, is_now), "helper": _helper(shown)}


def _helper(declared: DeclaredHelper) -> Plain:
    assignment = declared.assignment
    return {
        "id": assignment.id,
        "protocol": assignment.protocol.value,
        "port": assignment.port,
        "helper": assignment.helper,
    }


def _news(before: Plain, after: Plain) -> Iterator[Plain]:
    for name, said in after.get("assignments", {}).items():
        known = before.get("assignments", {}).get(name, {}).get("families", {})
        for family, verdict in said["families"].items():
            if known.get(family) != verdict:
                yield {"helper": name, "family": family, **verdict}


def _plain(value: bytes) -> Plain:
    found = json.loads(value)
    return found if isinstance(found, dict) else {}
