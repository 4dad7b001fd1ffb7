"""Puts the services of a server over its store, and the API on top; nothing is decided here."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass

from prometheus_client import CollectorRegistry
from starlette.routing import Route
from starlette.types import ASGIApp

from ctherd.api.app import Parts, build
from ctherd.api.audit import audit_routes
from ctherd.api.events import EventEndpoint
from ctherd.api.gate import Gate
from ctherd.api.hosts import HostEndpoints
from ctherd.api.keys import key_routes
from ctherd.api.limits import Limits
from ctherd.authz.caller import Identity
from ctherd.authz.identity.chain import IdentityChain
from ctherd.authz.identity.none import NoIdentity
from ctherd.authz.identity.tls import CertificateIdentity
from ctherd.authz.identity.token_file import TOKEN_FILE
from ctherd.authz.identity.tokens import TokenIdentity
from ctherd.authz.policy import Policy
from ctherd.authz.profile import Profile
from ctherd.main.core import Core
from ctherd.main.server_config import LimitOptions, ServerOptions
from ctherd.model.router import HostName
from ctherd.service.commit_metrics import CommitMetrics
from ctherd.service.conntrack_helpers import ConntrackHelpers
from ctherd.service.documents import Documents
from ctherd.service.feed import Feed
from ctherd.service.happenings import Happenings
from ctherd.service.helper_edits import HelperEdits
from ctherd.service.host_metrics import HostMetrics
from ctherd.service.hosts import Hosts
from ctherd.service.moves import Moves
from ctherd.service.permission import Permission
from ctherd.service.reports import Reports
from ctherd.service.router_book import RouterBook
from ctherd.service.router_writer import RouterWriter
from ctherd.service.routers import Routers
from ctherd.service.slots import Slots
from ctherd.service.status_board import StatusBoard
from ctherd.store.compaction import Compaction


@dataclass(slots=True)
class Adjustable:
    """What can be changed while the server runs."""

    profile: Profile


@dataclass(frozen=True, slots=True)
class Services:
    """The services of one server, and its API above them."""

    app: ASGIApp
    feed: Feed
    happenings: Happenings

    def end_streams(self) -> None:
        """Let everybody go who follows this server: streams do not end by themselves."""
        self.feed.end()
        self.happenings.end()


@asynccontextmanager
async def opened_services(
    core: Core, options: ServerOptions, adjustable: Adjustable
) -> AsyncIterator[Services]:
    """Start the services over *core*.

    Raises: ConfigurationError.
    """
    policy, limits = Policy(options.policy_file), _limits(options.limits)
    async with AsyncExitStack() as stack:
        identity = _identity(core, options, stack)
        parts = _started(core, options, stack)
        app = build(
            Parts(
                identity=identity,
                policy=policy,
                helpers=_helpers(core, parts, policy, adjustable),
                routers=_routers(core, parts, policy, options),
                board=parts.board,
                registry=_registry(core, parts),
                troubles=lambda: _troubles(core, policy),
                limits=limits,
                more=_more_routes(core, parts, policy, identity, limits),
            )
        )
        yield Services(app, parts.feed, parts.happenings)


@dataclass(frozen=True, slots=True)
class _Started:
    """What follows the store, and lives as long as the server."""

    book: RouterBook
    writer: RouterWriter
    slots: Slots
    documents: Documents
    feed: Feed
    hosts: Hosts
    board: StatusBoard
    reports: Reports
    happenings: Happenings


def _started(core: Core, options: ServerOptions, stack: AsyncExitStack) -> _Started:
    mirror, committer, keys = core.mirror, core.committer, core.keys
    book, slots, documents = RouterBook(mirror, keys.verifier), Slots(mirror), Documents(mirror)
    feed = Feed(mirror, keys.epoch, keys.signer, keys.verifier)
    hosts = Hosts(core.store, mirror, documents, feed, server=core.server)
    board = StatusBoard(mirror, book, documents, hosts, keys.epoch)
    for each in (book, slots, documents, board):
        stack.callback(each.close)
    reports = Reports(core.store, mirror, committer, book, documents, hosts, keys.publisher)
    moves = Moves(committer, book, documents, hosts, keys.publisher, patience_s=options.move_wait_s)
    happenings = Happenings(mirror, book, hosts, reports)
    for service in (Compaction(core.store), feed, hosts, moves, happenings):
        service.start()
        stack.push_async_callback(service.close)
    writer = RouterWriter(book, core.store, mirror, committer)
    return _Started(book, writer, slots, documents, feed, hosts, board, reports, happenings)


def _helpers(
    core: Core, parts: _Started, policy: Policy, adjustable: Adjustable
) -> ConntrackHelpers:
    permission = Permission(policy, core.committer)
    edits = HelperEdits(
        parts.book, parts.slots, lambda: adjustable.profile, core.keys.publisher, permission
    )
    return ConntrackHelpers(parts.book, parts.writer, edits, permission)


def _routers(core: Core, parts: _Started, policy: Policy, options: ServerOptions) -> Routers:
    return Routers(
        parts.book,
        parts.writer,
        parts.slots,
        Permission(policy, core.committer),
        core.keys.publisher,
        default_host=HostName(options.default_host) if options.default_host else None,
    )


def _registry(core: Core, parts: _Started) -> CollectorRegistry:
    registry = CollectorRegistry()
    for collector in (
        HostMetrics(parts.hosts, parts.feed, parts.reports, parts.documents, parts.happenings),
        CommitMetrics(core.committer, core.mirror),
        core.store,
    ):
        registry.register(collector)
    return registry


def _more_routes(
    core: Core, parts: _Started, policy: Policy, identity: Identity, limits: Limits
) -> Sequence[Route]:
    """Return the routes beside those of tenants."""
    gate = Gate(policy, core.committer)
    return [
        *HostEndpoints(gate, parts.hosts, parts.feed, parts.reports).routes(identity, limits),
        *EventEndpoint(gate, parts.happenings).routes(identity, limits),
        *audit_routes(core.store, gate, identity, limits),
        *key_routes(core.keys, gate, identity, limits),
    ]


def _identity(core: Core, options: ServerOptions, stack: AsyncExitStack) -> Identity:
    """Return who vouches for callers; agents have tokens or certificates, whoever tenants are."""
    agents: list[Identity] = [TokenIdentity(core.directory / TOKEN_FILE), CertificateIdentity()]
    match options.identity:
        case "none":
            return IdentityChain([*agents, NoIdentity(options.listen.host)])
        case "keystone":
            from ctherd.authz.identity.keystone import KeystoneIdentity, KeystoneOptions

            told = options.keystone
            keystone = KeystoneIdentity(KeystoneOptions(told.authtoken, told.remember_s))
            stack.callback(keystone.close)
            return IdentityChain([*agents, keystone])
    return IdentityChain(agents)


def _troubles(core: Core, policy: Policy) -> Sequence[str]:
    """Return why this server should not be asked now."""
    return [each for each in (core.mirror.stale, policy.trouble) if each]


def _limits(options: LimitOptions) -> Limits:
    return Limits(**asdict(options))
