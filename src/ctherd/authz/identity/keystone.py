"""Keystone: tenants are known by their tokens, which keystonemiddleware validates.

Its ``auth_token`` is WSGI and blocks, so it gets a request of its own for each token, in a thread
out of a few; what it said is remembered for a while, as it would by itself with a memcached. The
request that it sees has a token and nothing else. So an application credential with access rules,
which depend on the method and the path, is refused.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from wsgiref.util import setup_testing_defaults

from keystoneauth1 import loading
from keystoneauth1.exceptions import ClientException
from keystonemiddleware.auth_token import AuthProtocol, list_opts
from oslo_config import cfg

from ctherd.authz.caller import Caller, Credentials, IdentityUnavailable, Unauthenticated
from ctherd.authz.identity.presented import NotPresented, presented_token
from ctherd.errors import ConfigurationError
from ctherd.model.router import ProjectId

_log = logging.getLogger(__name__)

_THREADS: Final = 8
_WAITING: Final = 128
"""How many tokens may wait for Keystone at a time; more would only wait in vain."""

_REMEMBERED: Final = 10_000

_GROUP: Final = "keystone_authtoken"
_CACHE: Final = "ctherd.cache"

_CONFIRMED: Final = "200 OK"
_UNKNOWN: Final = "401 Unauthorized"

_DEFAULTS: Final = {
    "auth_type": "password",
    "user_domain_name": "Default",
    "project_domain_name": "Default",
    "http_connect_timeout": 5,
    "http_request_max_retries": 1,
}
# Delayed, it would let everybody through while Keystone is away.
_FORCED: Final = {"delay_auth_decision": False, "cache": _CACHE}


@dataclass(frozen=True, slots=True)
class KeystoneOptions:
    """How to reach Keystone.

    Shape: *authtoken* is the section ``[keystone_authtoken]`` as every OpenStack service has it
    (``auth_url``, ``username``, ``password``, …); *remember_s* is how long a token may stay good
    here after it was revoked there, or Keystone went away.
    """

    authtoken: Mapping[str, Any]
    remember_s: float = 60.0


class _Vouched(NamedTuple):
    """What Keystone said of a token; *until_s* is Unix time."""

    caller: Caller
    until_s: float


class KeystoneIdentity:
    """Vouches for whom Keystone vouches.

    Shape: belongs to one event loop; ``close`` lets go of its threads.
    Raises: ConfigurationError, on construction, for options that keystonemiddleware cannot mean.
    """

    def __init__(self, options: KeystoneOptions, *, now_s: Callable[[], float] = time.time) -> None:
        self._validate = _middleware(options.authtoken)
        self._remember_s = options.remember_s
        self._now_s = now_s
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="keystone")
        self._vouched: dict[bytes, _Vouched] = {}
        self._asked: dict[bytes, asyncio.Task[_Vouched]] = {}

    async def authenticate(self, credentials: Credentials) -> Caller:
        """Return whom the token that was presented belongs to.

        Shape: without roles if it is not scoped to a project.
        Raises: NotPresented, Unauthenticated; IdentityUnavailable if Keystone cannot be asked.
        """
        token = presented_token(credentials)
        if not token:
            raise NotPresented("no token was presented")
        # The digest: a token that is kept in memory is one that a dump of it gives away.
        digest = hashlib.sha256(token.encode("ascii")).digest()
        known = self._vouched.get(digest)
        if known is None or known.until_s <= self._now_s():
            known = await self._ask_once(digest, token)
        return known.caller

    def close(self) -> None:
        """Let go of the threads; what they ask is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _ask_once(self, digest: bytes, token: str) -> _Vouched:
        """Ask, or wait with those who have asked for the same token already."""
        asked = self._asked.get(digest)
        if asked is None:
            if len(self._asked) >= _WAITING:
                raise IdentityUnavailable("too many tokens are waiting for Keystone")
            asked = asyncio.create_task(self._ask(digest, token))
            self._asked[digest] = asked
            asked.add_done_callback(lambda task: self._answered(digest, task))
        return await asyncio.shield(asked)

    def _answered(self, digest: bytes, task: asyncio.Task[_Vouched]) -> None:
        del self._asked[digest]
        if not task.cancelled():
            task.exception()  # Seen, also if whoever asked has left.

    async def _ask(self, digest: bytes, token: str) -> _Vouched:
        loop = asyncio.get_running_loop()
        caller, expires_s = await loop.run_in_executor(self._threads, self._validate, token)
        vouched = _Vouched(caller, min(self._now_s() + self._remember_s, expires_s))
        self._vouched.pop(digest, None)
        while len(self._vouched) >= _REMEMBERED:
            del self._vouched[next(iter(self._vouched))]
        self._vouched[digest] = vouched
        return vouched


# -- what Keystone says ----------------------------------------------------------------------------


def _read(entity: Mapping[str, Any]) -> _Vouched:
    """Return whom the ``token`` object of Keystone's answer is about, and until when.

    The reference asks for the scope of a project in every rule; so whoever has another scope, or
    none, has no role here.
    """
    project = entity.get("project")
    roles = [role["name"].lower() for role in entity.get("roles", ())] if project else []
    caller = Caller(
        entity["user"]["id"],
        ProjectId(project["id"]) if project else None,
        frozenset(roles),
        "keystone",
    )
    return _Vouched(caller, datetime.fromisoformat(entity["expires_at"]).timestamp())


# -- keystonemiddleware ----------------------------------------------------------------------------


class _NoCache:
    """Takes the place of keystonemiddleware's cache, which is not made for threads."""

    def get(self, key: str) -> None:
        """Know nothing."""

    def set(self, key: str, value: object, time: int = 0) -> None:
        """Forget it."""


def _middleware(authtoken: Mapping[str, Any]) -> Callable[[str], _Vouched]:
    """Return what validates a token, blocking.

    Raises: ConfigurationError; what is returned raises Unauthenticated, IdentityUnavailable.
    """
    try:
        protocol = AuthProtocol(_vouch, {"oslo_config_config": _settings(authtoken)})
    except (ClientException, cfg.Error, ValueError, LookupError) as error:
        raise ConfigurationError(f"keystonemiddleware refuses its options: {error}") from error

    def validate(token: str) -> _Vouched:
        statuses: list[str] = []
        environ: dict[str, Any] = {"HTTP_X_AUTH_TOKEN": token, _CACHE: _NoCache()}
        setup_testing_defaults(environ)
        try:
            protocol(environ, lambda status, *_: statuses.append(status))
            if statuses == [_CONFIRMED]:
                return _read(environ["keystone.token_info"]["token"])
        except Exception as error:
            _log.exception("Keystone's answer could not be used; nobody is let in by it")
            raise IdentityUnavailable("Keystone cannot be asked") from error
        if statuses == [_UNKNOWN]:
            raise Unauthenticated("Keystone does not know this token, or it has expired")
        raise IdentityUnavailable("Keystone cannot be asked", cure="the server's log says why")

    return validate


def _vouch(environ: Mapping[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Stand behind the middleware (WSGI): whoever comes as far as this is vouched for."""
    confirmed = environ.get("HTTP_X_IDENTITY_STATUS") == "Confirmed"
    start_response(_CONFIRMED if confirmed else _UNKNOWN, [])
    return [b""]


def _settings(authtoken: Mapping[str, Any]) -> cfg.ConfigOpts:
    settings = cfg.ConfigOpts()
    settings([], project="ctherd", default_config_files=[], default_config_dirs=[])
    # Without it, keystonemiddleware asks in the log for what only its own answers would need.
    uri = {"www_authenticate_uri": authtoken.get("auth_url", "")}
    wanted = {**_DEFAULTS, **uri, **authtoken, **_FORCED}
    plugin: Any = loading.get_plugin_loader(wanted["auth_type"])
    for group, options in list_opts():
        settings.register_opts(options, group=group)
    settings.register_opts(loading.get_auth_plugin_conf_options(plugin), group=_GROUP)
    for name, value in wanted.items():
        settings.set_override(name, value, group=_GROUP)
    return settings
