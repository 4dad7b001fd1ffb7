"""Fans out what the store says to the agents that watch: one subscription, each event encoded once.

A watch begins with what its host does not know yet, in the order of revisions, then says that this
was all, under the server's signature, and goes on with what happens. A document's key is deleted
only when its host acknowledged the tombstone there, so that hosts need not be told of deletions,
and whoever resumes needs no log of changes: what has a higher revision is what he missed.
"""

import asyncio
import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from ctherd.errors import CtherdError, RemoteProtocolError
from ctherd.model.router import HostName
from ctherd.service.mailbox import Mailbox
from ctherd.service.records import DOCUMENTS, KEYS, hint_of, read_envelope
from ctherd.signing.canonical import Plain
from ctherd.signing.envelope import Envelope, Signer, Verifier
from ctherd.signing.statements import DocumentId, Manifest, Version, open_statement
from ctherd.store.mirror import Mirror
from ctherd.store.port import Batch, Revision, Stored

_log = logging.getLogger(__name__)

CURRENT_KEYS: Final = f"{KEYS}current"

_CAPACITY: Final = 1024 * 1024
_PIECE: Final = 64 * 1024
_SLICES: Final = 50
"""Heartbeats are spread over their interval, so that a change never waits behind all of them."""
_CHECKED_AT_ONCE: Final = 32
"""Seals, between two turns of everybody else."""
_PER_HOST: Final = 4
"""Streams of one host: it needs one, and may have a few that nobody has noticed the end of."""


class Since(NamedTuple):
    """What a host says that it has: everything of *epoch* up to *revision*."""

    epoch: int
    revision: Revision


class Watch:
    """One stream: what to begin with, then whatever comes."""

    __slots__ = ("beginning", "host", "mailbox")

    def __init__(self, host: HostName, beginning: Iterator[bytes], mailbox: Mailbox) -> None:
        self.host = host
        self.beginning = beginning
        self.mailbox = mailbox


class Feed:
    """Everybody who watches this server.

    Shape: *signer* and *verifier* return the ones that count now; *cut* counts readers that were
    too slow; between ``start`` and ``close``, in one event loop.
    """

    def __init__(
        self,
        mirror: Mirror,
        epoch: int,
        signer: Callable[[], Signer],
        verifier: Callable[[], Verifier],
        *,
        heartbeat_s: float = 5.0,
        capacity: int = _CAPACITY,
    ) -> None:
        self._mirror = mirror
        self._epoch = epoch
        self._signer = signer
        self._verifier = verifier
        self._heartbeat_s = heartbeat_s
        self._capacity = capacity
        # In their order: the oldest is let go first.
        self._watches: dict[HostName, dict[Watch, None]] = defaultdict(dict)
        self._sealed: dict[str, tuple[Revision, Version | None]] = {}
        self._beating: asyncio.Task[None] | None = None
        self._closed = False
        self.cut = 0
        self._stop = mirror.subscribe(self._follow)

    def start(self) -> None:
        """Begin to send heartbeats."""
        self._beating = asyncio.create_task(self._beat(), name="heartbeats")

    def end(self) -> None:
        """End every stream, now and from now on; hosts come back to whoever serves them next.

        An HTTP server that is to stop waits for its answers, and these have no end of their own.
        """
        self._closed = True
        for watch in self._all():
            watch.mailbox.close()

    async def close(self) -> None:
        """Follow the mirror no longer."""
        self.end()
        self._stop()
        if self._beating is not None:
            self._beating.cancel()
            with suppress(asyncio.CancelledError):
                await self._beating

    @property
    def watching(self) -> int:
        """How many streams are open."""
        return sum(map(len, self._watches.values()))

    def hosts(self) -> list[HostName]:
        """Return the hosts that watch now."""
        return list(self._watches)

    def is_watched_by(self, host: HostName) -> bool:
        """Tell whether *host* has a stream open."""
        return host in self._watches

    async def join(self, host: HostName, since: Since | None) -> Watch:
        """Return a watch of all that concerns *host*; None of *since* begins with everything."""
        await self._check_seals(host)
        mailbox = Mailbox(self._capacity)
        watch = Watch(host, self._beginning(host, since), mailbox)
        self._watches[host][watch] = None
        for oldest in list(self._watches[host])[:-_PER_HOST]:
            self.leave(oldest)
        if self._closed:
            mailbox.close()
        return watch

    def leave(self, watch: Watch) -> None:
        """The stream of *watch* is over; a second time is no error."""
        watch.mailbox.close()
        watches = self._watches.get(watch.host, {})
        watches.pop(watch, None)
        if not watches:
            self._watches.pop(watch.host, None)

    # -- what a watch begins with ----------------------------------------------------------------

    def _beginning(self, host: HostName, since: Since | None) -> Iterator[bytes]:
        """Return what the host lacks, fixed now and encoded when it is asked for."""
        known = since.revision if since is not None and since.epoch == self._epoch else 0
        stored = self._mirror.under(f"{DOCUMENTS}{host}/")
        news = sorted(
            (each for each in stored if each.revision > known), key=lambda each: each.revision
        )
        keys = self._mirror.get(CURRENT_KEYS)
        last = _line({"type": "in-sync", **self._manifest(host, stored)})
        return _in_pieces(keys, news, last)

    def _manifest(self, host: HostName, stored: Sequence[Stored]) -> Plain:
        """State all that *host* has; what a server did not seal is none of it."""
        versions: dict[DocumentId, Version] = {}
        for each in stored:
            version = self._version(each)
            if version is not None:
                versions[_document(each.key)] = version
        revision = self._mirror.revision
        manifest = Manifest(host, self._epoch, revision, versions).signed(self._signer())
        return {"revision": revision, "manifest": manifest.as_plain()}

    async def _check_seals(self, host: HostName) -> None:
        """Check what was not checked yet, and let others have their turn meanwhile."""
        for count, stored in enumerate(self._mirror.under(f"{DOCUMENTS}{host}/"), 1):
            self._version(stored)
            if count % _CHECKED_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _version(self, stored: Stored) -> Version | None:
        """Return the version of a sealed statement, None of any other."""
        known = self._sealed.get(stored.key)
        if known is None or known[0] != stored.revision:
            known = self._sealed[stored.key] = (stored.revision, self._checked(stored))
        return known[1]

    def _checked(self, stored: Stored) -> Version | None:
        try:
            statement = open_statement(self._verifier(), read_envelope(stored.value))
        except CtherdError as error:
            _log.error("%s is not as a server wrote it: %s", stored.key, error)
            return None
        if stored.key != f"{DOCUMENTS}{statement.host}/{statement.id}":
            _log.error("%s was signed for %s on %s", stored.key, statement.id, statement.host)
            return None
        return statement.version

    # -- what happens ----------------------------------------------------------------------------

    def _follow(self, batch: Batch) -> None:
        for key, value, revision in batch.events:
            if key.startswith(DOCUMENTS):
                self._sealed.pop(key, None)
                if value is not None:
                    self._tell(_host(key), Stored(key, value, revision))
            elif key == CURRENT_KEYS and value is not None:
                line = _keys_line(value)
                self._put(line, self._all())

    def _tell(self, host: HostName, stored: Stored) -> None:
        if host in self._watches:
            self._put(_document_line(stored), self._watches[host])

    def _put(self, line: bytes, watches: Iterable[Watch]) -> None:
        for watch in watches:
            self.cut += not watch.mailbox.put(line)

    async def _beat(self) -> None:
        part = 0
        while True:
            await asyncio.sleep(self._heartbeat_s / _SLICES)
            part = (part + 1) % _SLICES
            line = _line({"type": "heartbeat", "revision": self._mirror.revision})
            self._put(line, [each for each in self._all()[part::_SLICES] if each.mailbox.empty])

    def _all(self) -> list[Watch]:
        return [watch for watches in self._watches.values() for watch in watches]


def _in_pieces(keys: Stored | None, news: Sequence[Stored], last: bytes) -> Iterator[bytes]:
    piece = _keys_line(keys.value) if keys is not None else b""
    for stored in news:
        piece += _document_line(stored)
        if len(piece) >= _PIECE:
            yield piece
            piece = b""
    yield piece + last


def _document_line(stored: Stored) -> bytes:
    """Return the event of a statement, however broken: its host shall tell what it refuses."""
    return _line(
        {
            "type": "document",
            "revision": stored.revision,
            "document": _document(stored.key),
            "request": hint_of(stored.value),
            "envelope": _envelope(stored.value),
        }
    )


def _keys_line(value: bytes) -> bytes:
    return _line({"type": "keys", "envelope": _envelope(value)})


def _envelope(value: bytes) -> Plain | None:
    try:
        found: Envelope = read_envelope(value)
    except RemoteProtocolError:
        return None
    return found.as_plain()


def _line(value: Plain) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"


def _host(key: str) -> HostName:
    return HostName(key.removeprefix(DOCUMENTS).partition("/")[0])


def _document(key: str) -> DocumentId:
    return DocumentId(key.removeprefix(DOCUMENTS).partition("/")[2])
