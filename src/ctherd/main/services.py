"""Puts the services of a server over its store, and the API on top; nothing is decided here."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass

from prometheus_client import CollectorRegistry
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
    mirror, committer, keys = core.mirror, core.committer, core.keys
    policy = Policy(options.policy_file)
    limits = _limits(options.limits)
    async with AsyncExitStack() as stack:
        identity = _identity(core, options, stack)
        book = RouterBook(mirror, keys.verifier)
        slots = Slots(mirror)
        documents = Documents(mirror)
        for each in (book, slots, documents):
            stack.callback(each.close)
        feed = Feed(mirror, keys.epoch, keys.signer, keys.verifier)
        hosts = Hosts(core.store, mirror, documents, feed, server=core.server)
        board = StatusBoard(mirror, documents, hosts, keys.epoch)
        stack.callback(board.close)
        reports = Reports(core.store, mirror, committer, book, documents, hosts, keys.publisher)
        moves = Moves(
            committer, book, documents, hosts, keys.publisher, patience_s=options.move_wait_s
        )
        happenings = Happenings(mirror, book, hosts, reports)
        for service in (Compaction(core.store), feed, hosts, moves, happenings):
            service.start()
            stack.push_async_callback(service.close)
        permission = Permission(policy, committer)
        writer = RouterWriter(book, core.store, mirror, committer)
        edits = HelperEdits(book, slots, lambda: adjustable.profile, keys.publisher)
        gate = Gate(policy, committer)
        more = [
            *HostEndpoints(gate, hosts, feed, reports).routes(identity, limits),
            *EventEndpoint(gate, happenings).routes(identity, limits),
            *audit_routes(core.store, gate, identity, limits),
            *key_routes(keys, gate, identity, limits),
        ]
        registry = CollectorRegistry()
        for collector in (
            HostMetrics(hosts, feed, reports, documents, happenings),
            CommitMetrics(committer, mirror),
            core.store,
        ):
            registry.register(collector)
        app = build(
            Parts(
                identity=identity,
                policy=policy,
                helpers=ConntrackHelpers(book, writer, edits, permission),
                routers=Routers(
                    book,
                    writer,
                    slots,
                    permission,
                    keys.publisher,
                    default_host=HostName(options.default_host) if options.default_host else None,
                ),
                board=board,
                registry=registry,
                troubles=lambda: _troubles(core, policy),
                limits=limits,
                more=more,
            )
        )
        yield Services(app, feed, happenings)


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
