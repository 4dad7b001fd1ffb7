"""A whole server but for its tenants' API: store, mirror, services, and uvicorn on loopback."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.applications import Starlette
from starlette.types import ASGIApp

from ctherd.api.events import EventEndpoint
from ctherd.api.gate import Gate
from ctherd.api.hosts import HostEndpoints
from ctherd.api.limits import Limits
from ctherd.api.listener import Listener, bind
from ctherd.authz.audit.entry import AuditEntry, Decision
from ctherd.authz.audit.trail import begin_trail
from ctherd.authz.caller import Caller, Credentials, Unauthenticated
from ctherd.authz.policy import Policy
from ctherd.model.assignment import Assignment
from ctherd.model.document import RouterId
from ctherd.model.router import DeclaredHelper, HostName, Placement, ProjectId, Router
from ctherd.service.committer import Committer
from ctherd.service.documents import Documents
from ctherd.service.feed import CURRENT_KEYS, Feed
from ctherd.service.happenings import Happenings
from ctherd.service.hosts import Hosts
from ctherd.service.moves import Moves
from ctherd.service.publish import Publication, Publisher
from ctherd.service.records import MIRRORED, write_envelope
from ctherd.service.reports import Reports
from ctherd.service.router_book import RouterBook
from ctherd.service.status_board import StatusBoard
from ctherd.signing.envelope import Signer, Verifier
from ctherd.signing.key_set import KeySet
from ctherd.store.mirror import Mirror
from ctherd.store.port import Conflict, Put, Store

BLUE = ProjectId("blue")
ADMIN = Caller("root", None, frozenset({"admin", "member", "reader"}), "test")


class Tokens:
    """Believes tokens that say who they are: ``host:NAME``, ``admin``, ``member:PROJECT``."""

    async def authenticate(self, credentials: Credentials) -> Caller:
        if credentials.certificate_host:
            name = credentials.certificate_host
            return Caller(f"agent of {name}", None, frozenset(), "tls", HostName(name))
        token = credentials.headers.get("authorization", "").removeprefix("Bearer ")
        kind, _, name = token.partition(":")
        if kind == "host":
            return Caller(f"agent of {name}", None, frozenset(), "test", HostName(name))
        if kind == "admin":
            return ADMIN
        if kind == "member":
            return Caller("user", ProjectId(name), frozenset({"member", "reader"}), "test")
        raise Unauthenticated("no token")


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class Server:
    """The services over one store, and how routers are declared without an API.

    Shape: entered once; *epoch* and *signer* as the store's.
    """

    def __init__(
        self,
        store: Store,
        signer: Signer,
        *,
        epoch: int = 1,
        heartbeat_s: float = 5.0,
        lease_s: float = 30.0,
        patience_s: float = 30.0,
        capacity: int = 1024 * 1024,
    ) -> None:
        self.store = store
        self.signer = signer
        self.epoch = epoch
        self.heartbeat_s = heartbeat_s
        self.lease_s = lease_s
        self.patience_s = patience_s
        self.capacity = capacity
        self.verifier = Verifier({signer.key: signer.public})

    @property
    def publisher(self) -> Publisher:
        return Publisher(self.signer, self.epoch)

    @property
    def key_set(self) -> KeySet:
        return KeySet(1, {self.signer.key: self.signer.public}, self.signer.key)

    async def __aenter__(self) -> "Server":
        self._stack = AsyncExitStack()
        self.mirror = Mirror(self.store, MIRRORED)
        await self.mirror.start()
        self._stack.push_async_callback(self.mirror.close)
        trail = await begin_trail(self.store, "one", self.signer)
        self.committer = Committer(self.store, self.mirror, trail)
        self.committer.start()
        self._stack.push_async_callback(self.committer.close)
        self.book = RouterBook(self.mirror, lambda: self.verifier)
        self.documents = Documents(self.mirror)
        self.feed = Feed(
            self.mirror,
            self.epoch,
            lambda: self.signer,
            lambda: self.verifier,
            heartbeat_s=self.heartbeat_s,
            capacity=self.capacity,
        )
        self.hosts = Hosts(
            self.store, self.mirror, self.documents, self.feed, server="one", lease_s=self.lease_s
        )
        self.board = StatusBoard(self.mirror, self.book, self.documents, self.hosts, self.epoch)
        self.reports = Reports(
            self.store,
            self.mirror,
            self.committer,
            self.book,
            self.documents,
            self.hosts,
            lambda: self.publisher,
        )
        self.moves = Moves(
            self.committer,
            self.book,
            self.documents,
            self.hosts,
            lambda: self.publisher,
            patience_s=self.patience_s,
        )
        self.happenings = Happenings(self.mirror, self.book, self.hosts, self.reports)
        for each in (self.feed, self.hosts, self.moves, self.happenings):
            each.start()
            self._stack.push_async_callback(each.close)
        gate = Gate(Policy(), self.committer)
        endpoints = HostEndpoints(gate, self.hosts, self.feed, self.reports)
        events = EventEndpoint(gate, self.happenings)
        routes = [*endpoints.routes(Tokens(), Limits()), *events.routes(Tokens(), Limits())]
        self.app = Starlette(routes=routes)
        return self

    def end_streams(self) -> None:
        self.feed.end()
        self.happenings.end()

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    # -- what tenants would ask ------------------------------------------------------------------

    async def declare(
        self, name: str, placements: Iterable[tuple[str, str]], *assignments: Assignment
    ) -> Router:
        moment = now()
        router = Router(
            RouterId(name),
            BLUE,
            name,
            serial=1,
            revision_number=1,
            created_at=moment,
            updated_at=moment,
            placements=_placements(placements),
            helpers=_helpers(assignments),
        )
        return await self._commit(self.publisher.declare(router))

    async def change(
        self,
        name: str,
        *assignments: Assignment,
        placements: Iterable[tuple[str, str]] | None = None,
    ) -> Router:
        kept = self.book.find(name)
        assert kept is not None
        after = replace(
            kept.router,
            helpers=_helpers(assignments),
            revision_number=kept.router.revision_number + 1,
            placements=kept.router.placements if placements is None else _placements(placements),
        )
        publication = self.publisher.change(kept.router, kept.revision, after, now())
        return await self._commit(publication)

    async def withdraw(self, name: str) -> None:
        kept = self.book.find(name)
        assert kept is not None
        await self._commit(self.publisher.withdraw(kept.router, kept.revision))

    async def tell_keys(self, keys: KeySet, signer: Signer) -> None:
        """Let agents know of other keys."""
        await self.put(CURRENT_KEYS, write_envelope(keys.signed(signer)))

    async def put(self, key: str, value: bytes) -> None:
        """Write to the store behind the server's back."""
        revision = await self.store.commit((), [Put(key, value)], write_id=f"test {key} {now()}")
        assert not isinstance(revision, Conflict)
        await self.mirror.reached(revision)

    async def _commit(self, publication: Publication) -> Router:
        entry = AuditEntry(ADMIN, "", "req-test", "test", Decision.ALLOWED)
        outcome = await self.committer.commit(publication.expects, publication.writes, entry)
        assert not isinstance(outcome, Conflict), outcome
        return publication.router  # type: ignore[return-value]


def _placements(given: Iterable[tuple[str, str]]) -> tuple[Placement, ...]:
    return tuple(Placement(HostName(host), netns) for host, netns in given)  # type: ignore[arg-type]


def _helpers(assignments: Iterable[Assignment]) -> Mapping[Any, DeclaredHelper]:
    return {each.id: DeclaredHelper(each, "", now()) for each in assignments}


class Listening:
    """The real HTTP server in this event loop, on a port that stays the same over restarts."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        bound = bind("127.0.0.1", 0)
        self.port: int = bound.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        bound.close()

    def serve(self, server: Server) -> AbstractAsyncContextManager[None]:
        return self.serve_app(server.app, server.end_streams)

    @asynccontextmanager
    async def serve_app(self, app: ASGIApp, end: Callable[[], None]) -> AsyncIterator[None]:
        """Serve *app*; *end* ends its streams."""
        listener = Listener(app, bind("127.0.0.1", self.port), self._tls)
        task = asyncio.create_task(listener.serve())
        await listener.started()
        try:
            yield
        finally:
            end()
            listener.stop()
            await task


def new_signer() -> Signer:
    return Signer(Ed25519PrivateKey.generate())


def pin(server: Server, path: Path) -> Path:
    """Write the file of keys that an agent of *server* pins."""
    path.write_text(json.dumps(server.key_set.as_plain()))
    return path
