"""A whole server in this process: real services over a store in memory, asked through ASGI.

Who asks is played: a token is the name of one of CALLERS. What agents report is played, too.
"""

import json
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client import CollectorRegistry
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from ctherd.api.app import Parts, build
from ctherd.api.limits import Limits
from ctherd.authz.audit.trail import begin_trail
from ctherd.authz.caller import Caller, Credentials, IdentityUnavailable, Unauthenticated
from ctherd.authz.policy import Policy
from ctherd.authz.profile import Profile
from ctherd.model.assignment import AssignmentId
from ctherd.model.document import RouterId
from ctherd.model.router import ProjectId, Router
from ctherd.model.status import State
from ctherd.service.committer import Committer
from ctherd.service.conntrack_helpers import ConntrackHelpers
from ctherd.service.helper_edits import HelperEdits
from ctherd.service.helper_status import HelperStatus
from ctherd.service.permission import Permission
from ctherd.service.publish import Publisher
from ctherd.service.records import MIRRORED
from ctherd.service.router_book import RouterBook
from ctherd.service.router_writer import RouterWriter
from ctherd.service.routers import Routers
from ctherd.service.slots import Slots
from ctherd.signing.envelope import Signer, Verifier
from ctherd.store.mirror import Mirror
from ctherd.store.port import Store
from ctherd.testing.memory_store import MemoryStore

MINE: Final = ProjectId("mine")
OTHERS: Final = ProjectId("others")

_MEMBER: Final = frozenset({"member", "reader"})

CALLERS: Final = {
    "admin": Caller("root", ProjectId("ops"), frozenset({"admin", "member", "reader"}), "test"),
    "homeless-admin": Caller("root", None, frozenset({"admin"}), "test"),
    "member": Caller("mia", MINE, _MEMBER, "test"),
    "reader": Caller("rita", MINE, frozenset({"reader"}), "test"),
    "roleless": Caller("rolf", MINE, frozenset(), "test"),
    "outsider": Caller("otto", OTHERS, _MEMBER, "test"),
    "nobody": Caller(
        "nobody", MINE, frozenset({"admin", *_MEMBER}), "none", host_netns_forbidden=True
    ),
}


class PlayedIdentity:
    """Believes every token that is a name."""

    def __init__(self) -> None:
        self.away = False

    async def authenticate(self, credentials: Credentials) -> Caller:
        if self.away:
            raise IdentityUnavailable("nobody can be asked")
        token = credentials.headers.get("x-auth-token", "")
        if token not in CALLERS:
            raise Unauthenticated("no token, or none that is known")
        return CALLERS[token]


class PlayedBoard:
    """Agents that report what a test wants them to."""

    def __init__(self) -> None:
        self.statuses: dict[AssignmentId, HelperStatus] = {}
        self.settles = True
        self.awaited: list[tuple[RouterId, int, float]] = []

    def of(self, router: Router) -> Mapping[AssignmentId, HelperStatus]:
        pending = HelperStatus(State.PENDING, "no agent has reported yet")
        return {each: self.statuses.get(each, pending) for each in router.helpers}

    async def settled(self, router: RouterId, serial: int, timeout_s: float) -> bool:
        self.awaited.append((router, serial, timeout_s))
        return self.settles


class Server:
    """Everything below the API, put together; *app* is the API above it."""

    def __init__(
        self, store: Store, mirror: Mirror, committer: Committer, signer: Signer, limits: Limits
    ) -> None:
        self.store = store
        self.mirror = mirror
        self.committer = committer
        self.identity = PlayedIdentity()
        self.board = PlayedBoard()
        self.profile = Profile()
        self.troubles: list[str] = []
        self.registry = CollectorRegistry()
        self.limits = limits
        self.verifier = Verifier({signer.key: signer.public})
        self.book = RouterBook(mirror, lambda: self.verifier)
        self.slots = Slots(mirror)
        self.publisher = Publisher(signer, 1)
        self.use_policy(Policy())

    def use_policy(self, policy: Policy) -> None:
        """Let *policy* decide in whatever application is made from now on."""
        self.policy = policy
        permission = Permission(policy, self.committer)
        writer = RouterWriter(self.book, self.store, self.mirror, self.committer)
        edits = HelperEdits(
            self.book, self.slots, lambda: self.profile, lambda: self.publisher, permission
        )
        self.helpers = ConntrackHelpers(self.book, writer, edits, permission)
        self.routers = Routers(self.book, writer, self.slots, permission, lambda: self.publisher)

    def app(self, *more: BaseRoute) -> ASGIApp:
        return build(
            Parts(
                identity=self.identity,
                policy=self.policy,
                helpers=self.helpers,
                routers=self.routers,
                board=self.board,
                registry=self.registry,
                troubles=lambda: self.troubles,
                limits=self.limits,
                more=more,
            )
        )


@asynccontextmanager
async def running(
    store: Store | None = None, *, limits: Limits | None = None
) -> AsyncIterator[Server]:
    """Yield a server over *store*, which is in memory unless given."""
    store = store or MemoryStore()
    signer = Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
    mirror = Mirror(store, MIRRORED)
    await mirror.start()
    committer = Committer(store, mirror, await begin_trail(store, "test", signer))
    committer.start()
    try:
        yield Server(store, mirror, committer, signer, limits or Limits())
    finally:
        await committer.close()
        await mirror.close()
        await store.close()


class Client:
    """Asks *app* as one of CALLERS."""

    def __init__(self, app: ASGIApp, who: str = "member") -> None:
        self._transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._http = httpx.AsyncClient(transport=self._transport, base_url="http://ctherd.test")
        self._who = who

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        who: str | None = None,
        content: bytes | AsyncIterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        token = {"X-Auth-Token": who or self._who} if who != "" else {}
        return await self._http.request(
            method,
            path,
            content=content if body is None else json.dumps(body).encode("ascii"),
            headers={**token, **(headers or {})},
        )

    async def router(self, *, who: str | None = None, **attributes: Any) -> dict[str, Any]:
        answer = await self.ask("POST", "/v2.0/routers", {"router": attributes}, who=who)
        assert answer.status_code == 201, answer.text
        router: dict[str, Any] = answer.json()["router"]
        return router

    async def helper(self, router: str, **attributes: Any) -> dict[str, Any]:
        given = {"protocol": "udp", "port": 69, "helper": "tftp"} | attributes
        answer = await self.ask("POST", helpers_of(router), {"conntrack_helper": given})
        assert answer.status_code == 201, answer.text
        helper: dict[str, Any] = answer.json()["conntrack_helper"]
        return helper


def helpers_of(router: str, helper: str = "") -> str:
    """Return the path of a router's helpers, or of one of them."""
    return f"/v2.0/routers/{router}/conntrack_helpers" + (f"/{helper}" if helper else "")


def error_of(answer: httpx.Response) -> tuple[int, str, str]:
    """Return status, type and message of an error, whose shape is checked."""
    assert answer.headers["content-type"] == "application/json"
    said = answer.json()
    assert set(said) == {"NeutronError"}
    error = said["NeutronError"]
    assert set(error) == {"type", "message", "detail"} and error["detail"] == ""
    return answer.status_code, error["type"], error["message"]
