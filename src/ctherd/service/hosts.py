"""The hosts: who is alive, what their agents said of themselves, and how a dead one is forgotten.

An open stream is life, and so is a report. For everybody else who asks, and for the next server,
the store has a lease: written seldom, for many hosts at once, and never by all at the same moment.
"""

import asyncio
import json
import logging
import random
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from ctherd.errors import CtherdError, InvalidDeclaration, NotFound
from ctherd.model.router import HostName
from ctherd.service.documents import Documents
from ctherd.service.feed import Feed
from ctherd.service.records import HOSTS, LEASES, STATUSES
from ctherd.service.report import Report
from ctherd.signing.canonical import Plain
from ctherd.signing.statements import TOMBSTONE
from ctherd.store.mirror import Mirror
from ctherd.store.port import Batch, Delete, Put, Store, Write

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 200
"""Leases in one commit."""

OnLife = Callable[[HostName, bool], None]
"""Called with a host and whether it is alive now, when that changes."""


class HostAlive(CtherdError):
    """A host cannot be forgotten while its agent is alive."""

    code = "host-alive"


class Hosts:
    """Who is alive.

    Shape: *server* is the id of this process; a lease lasts *lease_s*; *clock* returns seconds
    since 1970; between ``start`` and ``close``, in one event loop.
    """

    def __init__(
        self,
        store: Store,
        mirror: Mirror,
        documents: Documents,
        feed: Feed,
        *,
        server: str,
        lease_s: float = 30.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._mirror = mirror
        self._documents = documents
        self._feed = feed
        self._server = server
        self._lease_s = lease_s
        self._clock = clock
        self._random = random.Random()
        self._until: dict[HostName, float] = {}
        self._heard: dict[HostName, float] = {}
        self._alive: set[HostName] = set()
        self._listeners: list[OnLife] = []
        self._task: asyncio.Task[None] | None = None
        for stored in mirror.under(LEASES):
            self._lease(stored.key, stored.value)
        self._stop = mirror.subscribe(self._follow)
        self._alive = {each for each in self._until if self.is_alive(each)}

    def start(self) -> None:
        """Begin to renew leases and to notice silence."""
        self._task = asyncio.create_task(self._work(), name="leases")

    async def close(self) -> None:
        """Stop; leases run out by themselves."""
        self._stop()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def on_life(self, listener: OnLife) -> None:
        """Call *listener* whenever a host falls silent or comes back."""
        self._listeners.append(listener)

    def is_alive(self, host: HostName) -> bool:
        """Tell whether the agent of *host* was there a moment ago."""
        return self._feed.is_watched_by(host) or self._clock() < self._known_until(host)

    def is_known(self, host: HostName) -> bool:
        """Tell whether an agent of *host* was ever there."""
        return self._mirror.get(f"{HOSTS}{host}") is not None or host in self._until

    def silent_since(self, host: HostName) -> str:
        """Return until when a silent host was certainly alive (RFC 3339, UTC); "" if never."""
        until = self._known_until(host)
        return _spelled(until - self._lease_s) if until else ""

    @property
    def alive(self) -> int:
        """How many hosts are alive."""
        return sum(map(self.is_alive, self.names()))

    def names(self) -> list[HostName]:
        """Return every host that was ever heard, or that anything is placed on, in order."""
        known = {HostName(each.key.removeprefix(HOSTS)) for each in self._mirror.under(HOSTS)}
        heard = self._until.keys() | set(self._feed.hosts())
        return sorted(known | heard | set(self._documents.hosts()))

    def seen(self, host: HostName) -> None:
        """Its agent spoke to this server just now."""
        self._heard[host] = self._clock()
        if host not in self._alive:
            self._note_life(host, alive=True)

    def show(self, host: HostName) -> Plain:
        """Return what is known of *host*.

        Raises: NotFound.
        """
        documents = self._documents.of_host(host).values()
        if not (self.is_known(host) or self._feed.is_watched_by(host) or documents):
            raise NotFound(f"no agent ever called itself {host!r}, and nothing was placed there")
        stored = self._mirror.get(f"{HOSTS}{host}")
        facts = _read(stored.value) if stored is not None else {}
        tombstones = [each for each in documents if each.kind == TOMBSTONE]
        refused = [
            {"router": each["router"], "netns": each["netns"], "reason": each["refused"]}
            for each in self._statuses(host)
            if each.get("refused")
        ]
        return {
            "host": host,
            "alive": self.is_alive(host),
            "silent_since": "" if self.is_alive(host) else self.silent_since(host),
            "watching": self._feed.is_watched_by(host),
            "routers": len(documents) - len(tombstones),
            "withdrawing": len(tombstones),
            "refused": refused,
            "first_seen": facts.get("first_seen", ""),
            "kept": facts.get("kept", []),
            "agent": facts.get("agent", {}),
        }

    def facts(self, host: HostName, report: Report) -> list[Write]:
        """Return what to write for what an agent said of itself, if that is new."""
        key = f"{HOSTS}{host}"
        stored = self._mirror.get(key)
        known = _read(stored.value) if stored is not None else {}
        facts = {
            "first_seen": known.get("first_seen") or _spelled(self._clock()),
            "agent": report.agent,
            "kept": [
                {"router": each.router, "netns": each.netns, "reason": each.reason}
                for each in report.kept
            ],
        }
        return [Put(key, _value(facts))] if facts != known else []

    def farewell(self, host: HostName) -> list[Write]:
        """Return what to write to forget a dead host, but for its tombstones.

        Raises: NotFound; HostAlive; InvalidDeclaration if routers are placed there.
        """
        if not self.is_known(host) and not self._documents.of_host(host):
            raise NotFound(f"no agent ever called itself {host!r}, and nothing was placed there")
        if self.is_alive(host):
            raise HostAlive(f"the agent of {host} is alive", cure="end it first")
        placed = [
            each.router for each in self._documents.of_host(host).values() if each.kind != TOMBSTONE
        ]
        if placed:
            raise InvalidDeclaration(
                f"{len(placed)} routers are placed on {host}, such as {placed[0]}",
                cure="place them elsewhere, or delete them",
            )
        keys = [each.key for each in self._mirror.under(f"{STATUSES}{host}/")]
        return [Delete(each) for each in (f"{HOSTS}{host}", f"{LEASES}{host}", *keys)]

    # -- leases ----------------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            # Jittered, so that two servers and a thousand hosts do not fall into step.
            await asyncio.sleep(self._lease_s / 6 * self._random.uniform(0.5, 1.0))
            await self._renew()
            self._notice()

    async def _renew(self) -> None:
        """Write the leases that have less than half of their time left."""
        now = self._clock()
        for host in self._feed.hosts():
            self._heard[host] = now
        due = [
            host
            for host, heard in self._heard.items()
            if heard + self._lease_s - self._until.get(host, 0.0) > self._lease_s / 2
        ]
        for start in range(0, len(due), _AT_ONCE):
            await self._write(due[start : start + _AT_ONCE])

    async def _write(self, hosts: Iterable[HostName]) -> None:
        puts = [
            Put(
                f"{LEASES}{host}",
                _value(
                    {"server": self._server, "until": _spelled(self._heard[host] + self._lease_s)}
                ),
            )
            for host in hosts
        ]
        try:
            await self._store.commit((), puts, write_id=str(uuid4()))
        except CtherdError as error:
            _log.warning("leases were not renewed: %s", error)

    def _notice(self) -> None:
        for host in self.names():
            alive = self.is_alive(host)
            if alive != (host in self._alive):
                self._note_life(host, alive=alive)
        self._heard = {each: heard for each, heard in self._heard.items() if self.is_alive(each)}

    def _note_life(self, host: HostName, *, alive: bool) -> None:
        if alive:
            self._alive.add(host)
            _log.info("the agent of %s is there", host)
        else:
            self._alive.discard(host)
            _log.warning("the agent of %s is silent", host)
        for listener in self._listeners:
            listener(host, alive)

    def _known_until(self, host: HostName) -> float:
        heard = self._heard.get(host)
        here = heard + self._lease_s if heard is not None else 0.0
        return max(self._until.get(host, 0.0), here)

    def _follow(self, batch: Batch) -> None:
        for key, value, _ in batch.events:
            if key.startswith(LEASES):
                self._lease(key, value)

    def _lease(self, key: str, value: bytes | None) -> None:
        host = HostName(key.removeprefix(LEASES))
        if value is None:
            self._until.pop(host, None)
            self._heard.pop(host, None)
            return
        with suppress(ValueError, KeyError, TypeError):
            self._until[host] = datetime.fromisoformat(json.loads(value)["until"]).timestamp()

    def _statuses(self, host: HostName) -> list[Plain]:
        return [_read(each.value) for each in self._mirror.under(f"{STATUSES}{host}/")]


def _spelled(moment_s: float) -> str:
    moment = datetime.fromtimestamp(moment_s, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _read(value: bytes) -> Plain:
    """Return an object of the store; what is none is an empty one, for these are only hearsay."""
    with suppress(ValueError, RecursionError):
        found: Any = json.loads(value)
        if isinstance(found, dict):
            return found
    return {}


def _value(plain: Plain) -> bytes:
    return json.dumps(plain, separators=(",", ":")).encode()
