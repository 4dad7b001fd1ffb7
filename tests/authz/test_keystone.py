"""The identity Keystone, against a real one: who is let in, what is remembered, and its absence."""

import asyncio
import socket
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from keystoneauth1 import session as auth_session
from keystoneauth1.identity import v3
from keystoneclient.v3 import client as keystone_client

from ctherd.authz.caller import Caller, Credentials, IdentityUnavailable, Unauthenticated
from ctherd.authz.identity.keystone import KeystoneIdentity, KeystoneOptions
from ctherd.authz.identity.presented import NotPresented
from ctherd.errors import ConfigurationError
from tests.authz.keystone_server import ADMIN_PASSWORD, Keystone, silent_server

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Cloud:
    """A Keystone with two projects, and a user with a role in one of them."""

    keystone: Keystone
    directory: Path
    admin: Any
    ann: Any
    ours: Any

    def options(self, **others: Any) -> KeystoneOptions:
        return KeystoneOptions(
            {
                "auth_url": self.keystone.url,
                "username": "admin",
                "password": ADMIN_PASSWORD,
                "project_name": "admin",
                **others,
            }
        )

    def login(self, **scope: Any) -> Any:
        """Log ann in."""
        plugin = v3.Password(
            self.keystone.url,
            username="ann",
            password="annie",
            user_domain_id="default",
            project_domain_id="default" if "project_name" in scope else None,
            **scope,
        )
        return auth_session.Session(plugin)

    def token(self, **scope: Any) -> str:
        return str(self.login(**(scope or {"project_name": "ours"})).get_token())


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    directory = tmp_path_factory.mktemp("keystone") / "state"
    directory.mkdir()
    keystone = Keystone(directory)
    plugin = v3.Password(
        keystone.url,
        username="admin",
        password=ADMIN_PASSWORD,
        project_name="admin",
        user_domain_id="default",
        project_domain_id="default",
    )
    admin = keystone_client.Client(session=auth_session.Session(plugin))
    ours = admin.projects.create("ours", "default")
    ann = admin.users.create("ann", "default", password="annie")
    member = next(each for each in admin.roles.list() if each.name == "member")
    admin.roles.grant(member, user=ann, project=ours)
    admin.roles.grant(member, user=ann, domain="default")
    yield Cloud(keystone, directory, admin, ann, ours)
    keystone.stop()


@contextmanager
def identity(options: KeystoneOptions, **others: Any) -> Iterator[KeystoneIdentity]:
    made = KeystoneIdentity(options, **others)
    try:
        yield made
    finally:
        made.close()


async def ask(made: KeystoneIdentity, token: str) -> Caller:
    return await made.authenticate(Credentials({"x-auth-token": token}, "192.0.2.1"))


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


def test_who_keystone_vouches_for_is_let_in(cloud: Cloud) -> None:
    """With the project of the token's scope, and the roles there, implied ones too."""

    async def scenario() -> None:
        with identity(cloud.options()) as made:
            assert await ask(made, cloud.token()) == Caller(
                cloud.ann.id, cloud.ours.id, frozenset({"member", "reader"}), "keystone"
            )

    run(scenario())


@pytest.mark.parametrize("scope", [{"unscoped": True}, {"domain_id": "default"}])
def test_without_a_project_there_is_no_role(cloud: Cloud, scope: dict[str, Any]) -> None:
    """A token of a domain, or of no scope, says who somebody is, and lets him do nothing."""

    async def scenario() -> None:
        with identity(cloud.options()) as made:
            caller = await ask(made, cloud.token(**scope))
            assert (caller.user, caller.project, caller.roles) == (cloud.ann.id, None, frozenset())

    run(scenario())


@pytest.mark.parametrize("token", ["notused", "gAAAAABinvalid", "x" * 2000])
def test_who_keystone_does_not_know_is_refused(cloud: Cloud, token: str) -> None:
    async def scenario() -> None:
        with identity(cloud.options()) as made, pytest.raises(Unauthenticated):
            await ask(made, token)

    run(scenario())


def test_no_token_is_for_others_to_decide(cloud: Cloud) -> None:
    """Nobody asks Keystone about nothing."""

    async def scenario() -> None:
        with identity(cloud.options()) as made, pytest.raises(NotPresented):
            await made.authenticate(Credentials({}, "192.0.2.1"))

    run(scenario())


def test_a_revoked_token_is_refused_when_it_is_forgotten_here(cloud: Cloud) -> None:
    """For as long as a token is remembered, and no longer, it may outlive its revocation."""

    async def scenario() -> None:
        now_s = [datetime.now(UTC).timestamp()]
        session = cloud.login(project_name="ours")
        token = str(session.get_token())
        with identity(cloud.options(), now_s=lambda: now_s[0]) as made:
            await ask(made, token)
            keystone_client.Client(session=session).tokens.revoke_token(token)
            now_s[0] += 59
            await ask(made, token)
            now_s[0] += 2
            with pytest.raises(Unauthenticated):
                await ask(made, token)

    run(scenario())


def test_an_expired_token_is_refused(cloud: Cloud) -> None:
    """By what is remembered of it, and by Keystone, as soon as it has expired."""
    expires = datetime.now(UTC) + timedelta(seconds=3)
    trust = keystone_client.Client(session=cloud.login(project_name="ours")).trusts.create(
        trustee_user=cloud.ann.id,
        trustor_user=cloud.ann.id,
        project=cloud.ours.id,
        role_names=["member"],
        impersonation=False,
        expires_at=expires.replace(tzinfo=None),
    )
    token = cloud.token(trust_id=trust.id)

    async def scenario() -> None:
        with identity(cloud.options()) as made:
            assert (await ask(made, token)).project == cloud.ours.id
            with pytest.raises(Unauthenticated):
                while datetime.now(UTC) < expires + timedelta(seconds=60):
                    await ask(made, token)
                    await asyncio.sleep(0.05)
            assert datetime.now(UTC) >= expires.replace(microsecond=0)

    run(scenario())


def test_many_who_present_one_token_ask_once(cloud: Cloud) -> None:
    """A client that opens 20 connections at once makes one request of Keystone."""

    async def scenario() -> None:
        with identity(cloud.options()) as made:
            asked: list[str] = []
            validate = made._validate

            def counted(token: str) -> Any:
                asked.append(token)
                return validate(token)

            made._validate = counted
            token = cloud.token()
            callers = await asyncio.gather(*(ask(made, token) for _ in range(20)))
            assert len(set(callers)) == 1
            assert asked == [token]

    run(scenario())


def test_keystone_away_is_unavailable_and_never_open(cloud: Cloud) -> None:
    """Who is remembered is let in for a while, nobody else is; it ends when Keystone is back."""

    async def scenario() -> None:
        with identity(cloud.options()) as made:
            known, unknown = cloud.token(), cloud.token()
            await ask(made, known)
            cloud.keystone.stop()
            try:
                assert (await ask(made, known)).user == cloud.ann.id
                for token in (unknown, "notused"):
                    with pytest.raises(IdentityUnavailable):
                        await ask(made, token)
            finally:
                back = Keystone(cloud.directory, cloud.keystone.port)
                cloud.keystone.take_over(back)
            assert (await ask(made, unknown)).user == cloud.ann.id

    run(scenario())


def test_what_is_remembered_ends_while_keystone_is_away(cloud: Cloud) -> None:
    """A token that expired meanwhile is not let in because nobody can say that it has."""

    async def scenario() -> None:
        now_s = [datetime.now(UTC).timestamp()]
        with identity(cloud.options(), now_s=lambda: now_s[0]) as made:
            token = cloud.token()
            await ask(made, token)

            def away(token: str) -> Any:
                raise IdentityUnavailable("it is away")

            made._validate = away
            now_s[0] += 61
            with pytest.raises(IdentityUnavailable):
                await ask(made, token)

    run(scenario())


def test_a_wrong_password_of_our_own_is_unavailable(cloud: Cloud) -> None:
    """It is no fault of the caller's: 503, and not 401."""

    async def scenario() -> None:
        with (
            identity(cloud.options(password="wrong")) as made,
            pytest.raises(IdentityUnavailable),
        ):
            await ask(made, cloud.token())

    run(scenario())


@pytest.mark.parametrize("option", [{"delay_auth_decision": True}, {"delay_auth_decision": "true"}])
def test_a_delayed_decision_is_not_to_be_had(cloud: Cloud, option: dict[str, Any]) -> None:
    """The one option with which keystonemiddleware lets everybody through has no effect here."""

    async def scenario() -> None:
        with identity(cloud.options(**option)) as made, pytest.raises(Unauthenticated):
            await ask(made, "notused")

    run(scenario())


# -- what is no Keystone ---------------------------------------------------------------------------


@contextmanager
def impostor(answer: bytes) -> Iterator[str]:
    """Answer every connection with *answer*."""
    with silent_server() as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v3"
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


OPTIONS = {"username": "u", "password": "p", "project_name": "n", "http_request_max_retries": 0}


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b'HTTP/1.1 200 OK\r\nX-Subject-Token: x\r\nContent-Length: 12\r\n\r\n{"token":{}}',
        b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /v3\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"",
    ],
)
def test_nonsense_of_keystone_is_unavailable(answer: bytes) -> None:
    """Whatever answers there lets nobody in by accident, and takes nothing down."""

    async def scenario() -> None:
        with impostor(answer) as url:
            options = KeystoneOptions({**OPTIONS, "auth_url": url})
            with identity(options) as made, pytest.raises(IdentityUnavailable):
                await ask(made, "token")

    run(scenario())


def test_a_keystone_that_is_silent_holds_up_nobody_else() -> None:
    """The loop goes on while it is asked; what would wait in vain is refused; and it ends."""

    async def scenario() -> None:
        with silent_server() as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}/v3"
            options = KeystoneOptions({**OPTIONS, "auth_url": url, "http_connect_timeout": 1})
            with identity(options) as made:
                silent.setblocking(False)
                waiting = [asyncio.create_task(ask(made, f"token{each}")) for each in range(128)]
                connection, _ = await asyncio.get_running_loop().sock_accept(silent)
                with connection, pytest.raises(IdentityUnavailable, match="too many"):
                    await ask(made, "one more")
                assert not any(each.done() for each in waiting)
                waiting[0].cancel()
                with pytest.raises(IdentityUnavailable):
                    await waiting[1]
                for each in waiting:
                    each.cancel()

    run(scenario())


@pytest.mark.parametrize(
    "options",
    [
        {"auth_type": "no-such-plugin"},
        {"usernam": "x"},
        {"http_connect_timeout": "soon"},
    ],
)
def test_options_that_cannot_be_meant_stop_the_start(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        KeystoneIdentity(KeystoneOptions({**OPTIONS, "auth_url": "http://127.0.0.1:1", **options}))
