"""None, tokens, certificates, and several of them: who is let in as whom, and who is not."""

import asyncio
import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctherd.authz.caller import Caller, Credentials, Identity, IdentityUnavailable, Unauthenticated
from ctherd.authz.identity.chain import IdentityChain
from ctherd.authz.identity.none import NoIdentity
from ctherd.authz.identity.presented import NotPresented
from ctherd.authz.identity.tls import CertificateIdentity
from ctherd.authz.identity.token_file import (
    Grant,
    TokenId,
    create_token,
    read_tokens,
    revoke_token,
)
from ctherd.authz.identity.tokens import TokenIdentity
from ctherd.errors import ConfigurationError, InvalidDeclaration, NotFound

MEMBER = Grant(user="ann", project="p1", roles=("Member",))
AGENT = Grant(host="net1", description="the first node")


def ask(
    identity: Identity, headers: Mapping[str, str], *, address: str = "127.0.0.1", host: str = ""
) -> Caller:
    return asyncio.run(identity.authenticate(Credentials(headers, address, host)))


def refused(
    identity: Identity, headers: Mapping[str, str], *, address: str = "127.0.0.1", host: str = ""
) -> bool:
    try:
        ask(identity, headers, address=address, host=host)
    except Unauthenticated:
        return True
    return False


# -- none ------------------------------------------------------------------------------------------

LOCAL = {"host": "127.0.0.1:9696"}


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1"])
def test_without_identity_the_server_listens_at_loopback_alone(address: str) -> None:
    """Everybody else could be anybody."""
    NoIdentity(address)
    for other in ("0.0.0.0", "::", "192.0.2.1", "localhost.example.com"):
        with pytest.raises(ConfigurationError):
            NoIdentity(other)


@pytest.mark.parametrize(
    "headers",
    [
        LOCAL,
        {"host": "localhost:9696"},
        {"host": "[::1]:9696"},
        {"host": "localhost"},
        LOCAL | {"x-auth-token": "notused"},
        LOCAL | {"content-type": "application/json", "content-length": "2"},
        LOCAL | {"content-type": "application/json; charset=utf-8", "transfer-encoding": "chunked"},
        LOCAL | {"content-length": "0"},
        LOCAL | {"origin": "http://127.0.0.1:9696", "sec-fetch-site": "same-origin"},
    ],
)
def test_who_reaches_loopback_is_the_administrator(headers: dict[str, str]) -> None:
    """OpenStack's clients with auth_type=none, curl, and the server's own pages."""
    caller = ask(NoIdentity("127.0.0.1"), headers)
    assert caller.via == "none"
    assert {"admin", "member", "reader"} <= caller.roles
    assert caller.project


def test_who_proved_nothing_may_not_have_the_hosts_own_namespace() -> None:
    """Services look at this before they place a router there."""
    assert ask(NoIdentity("127.0.0.1"), LOCAL).host_netns_forbidden


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": ""},
        {"host": "attacker.example:9696"},
        {"host": "127.0.0.1.attacker.example"},
        {"host": "localhost.attacker.example"},
        {"host": "attacker.example@127.0.0.1.x"},
        {"host": "192.0.2.1:9696"},
        {"host": "["},
        LOCAL | {"origin": "http://attacker.example"},
        LOCAL | {"origin": "http://127.0.0.1:8080"},
        LOCAL | {"origin": "null"},
        LOCAL | {"origin": ""},
        LOCAL | {"sec-fetch-site": "cross-site"},
        LOCAL | {"sec-fetch-site": "same-site"},
        LOCAL | {"content-length": "2"},
        LOCAL | {"content-length": "2", "content-type": "text/plain"},
        LOCAL | {"content-length": "2", "content-type": "application/x-www-form-urlencoded"},
        LOCAL | {"transfer-encoding": "chunked", "content-type": "multipart/form-data; a=b"},
        LOCAL | {"content-length": "2", "content-type": "text/plain; application/json"},
    ],
)
def test_what_a_web_page_can_send_is_refused(headers: dict[str, str]) -> None:
    """Rebound names, other origins, and the bodies that forms post."""
    assert refused(NoIdentity("127.0.0.1"), headers)


def test_who_comes_from_elsewhere_is_refused() -> None:
    """Though the server listens at loopback: a proxy may say whose request it forwards."""
    assert refused(NoIdentity("127.0.0.1"), LOCAL, address="192.0.2.7")
    assert not refused(NoIdentity("127.0.0.1"), LOCAL, address="::1")


# -- tokens ----------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


def header(token: str) -> dict[str, str]:
    return {"x-auth-token": token}


def test_a_token_is_presented_as_clients_do(path: Path) -> None:
    """X-Auth-Token (OpenStack's), Bearer (agents, curl), Basic (openstacksdk's http_basic)."""
    text, _ = create_token(path, MEMBER)
    identity = TokenIdentity(path)
    basic = base64.b64encode(f"whoever:{text}".encode()).decode()
    presented = [
        header(text),
        {"authorization": f"Bearer {text}"},
        {"authorization": f"bearer  {text}"},
        {"authorization": f"Basic {basic}"},
    ]
    callers = {ask(identity, each) for each in presented}
    assert callers == {Caller("ann", "p1", frozenset({"member", "reader"}), "tokens")}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("admin", {"admin", "manager", "member", "reader"}),
        ("Member", {"member", "reader"}),
        ("reader", {"reader"}),
        ("conntrack_risky", {"conntrack_risky"}),
    ],
)
def test_roles_imply_others_as_in_keystone(path: Path, given: str, meant: set[str]) -> None:
    """Who writes may read: nobody has to say so for each token."""
    text, _ = create_token(path, Grant(user="u", project="p", roles=(given,)))
    assert ask(TokenIdentity(path), header(text)).roles == meant


def test_a_hosts_token_is_its_agents(path: Path) -> None:
    """Of that host, without project and roles."""
    text, _ = create_token(path, AGENT)
    caller = ask(TokenIdentity(path), header(text))
    assert (caller.host, caller.project, caller.roles) == ("net1", None, frozenset())


def test_the_file_has_no_token(path: Path) -> None:
    """Whoever reads the file, or a backup of it, can present nothing; and others cannot read it."""
    text, token = create_token(path, MEMBER)
    content = path.read_text()
    secret = text.rpartition("_")[2]
    assert secret not in content
    assert token.digest in content
    assert path.stat().st_mode & 0o777 == 0o600


def test_two_tokens_are_never_alike(path: Path) -> None:
    """256 random bits each, and an id of its own."""
    texts = {create_token(path, MEMBER)[0] for _ in range(20)}
    assert len({each.rpartition("_")[2] for each in texts}) == 20
    assert all(len(bytes.fromhex(each.rpartition("_")[2])) == 32 for each in texts)
    assert len(read_tokens(path)) == 20


def test_a_revoked_token_is_refused_at_once(path: Path) -> None:
    """Without a restart; others stay good."""
    first, token = create_token(path, MEMBER)
    second, _ = create_token(path, AGENT)
    identity = TokenIdentity(path)
    assert not refused(identity, header(first))
    assert revoke_token(path, token.id).user == "ann"
    assert refused(identity, header(first))
    assert not refused(identity, header(second))
    with pytest.raises(NotFound):
        revoke_token(path, token.id)


def test_a_new_token_is_known_at_once(path: Path) -> None:
    """Without a restart."""
    create_token(path, MEMBER)
    identity = TokenIdentity(path)
    assert refused(identity, header("ctherd_" + "0" * 16 + "_" + "0" * 64))
    text, _ = create_token(path, MEMBER)
    assert ask(identity, header(text)).user == "ann"


def test_an_expired_token_is_refused(path: Path) -> None:
    """From its second on, in whatever time zone that was said."""
    now = [datetime(2030, 1, 1, 11, 59, 59, tzinfo=UTC)]
    text, token = create_token(path, MEMBER._replace(expires="2030-01-01T14:00:00+02:00"))
    assert token.expires == "2030-01-01T12:00:00Z"
    identity = TokenIdentity(path, now=lambda: now[0])
    assert not refused(identity, header(text))
    now[0] += timedelta(seconds=1)
    assert refused(identity, header(text))


@given(changed=st.integers(0, 87), by=st.characters(codec="ascii"))
def test_no_other_token_is_taken_for_it(
    tmp_path_factory: pytest.TempPathFactory, changed: int, by: str
) -> None:
    """Not with any character changed, cut, or added."""
    path = tmp_path_factory.mktemp("t") / "tokens.json"
    text, _ = create_token(path, MEMBER)
    assert len(text) == 88
    other = text[:changed] + by + text[changed + 1 :]
    identity = TokenIdentity(path)
    assert refused(identity, header(other)) or other.strip() == text
    assert refused(identity, header(text[:changed]))
    assert refused(identity, header(text + text[changed]))


def test_an_id_with_another_tokens_secret_is_refused(path: Path) -> None:
    """Id and secret belong together."""
    first, second = (create_token(path, MEMBER)[0] for _ in range(2))
    mixed = first.rpartition("_")[0] + "_" + second.rpartition("_")[2]
    assert refused(TokenIdentity(path), header(mixed))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        header(""),
        header("notused"),
        {"authorization": "Basic not-base64"},
        {"authorization": "Basic " + base64.b64encode(b"\xff\xfe").decode()},
        {"authorization": "Digest x"},
        {"authorization": "Bearer"},
        header("ä" * 20),
        header("a\0b"),
        header("a" * 100_000),
    ],
)
def test_what_is_no_token_is_refused(path: Path, headers: dict[str, str]) -> None:
    """As unauthenticated, and never as an error of ours."""
    create_token(path, MEMBER)
    assert refused(TokenIdentity(path), headers)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"version": 1}',
        '{"version": 2, "tokens": {}}',
        '{"version": 1, "tokens": {"x": {}}}',
        '{"version": 1, "tokens": {"x": 5}}',
        '{"version": 1, "tokens": []}',
    ],
)
def test_a_broken_file_lets_nobody_in(
    path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even those it vouched for before: nobody can tell whom it revoked. The log says so once,
    and a whole file ends it.
    """
    text, _ = create_token(path, MEMBER)
    whole = path.read_bytes()
    identity = TokenIdentity(path)
    ask(identity, header(text))
    path.write_text(content)
    for _ in range(3):
        with pytest.raises(IdentityUnavailable):
            ask(identity, header(text))
    assert len(caplog.records) == 1
    path.write_bytes(whole)
    assert ask(identity, header(text)).user == "ann"


def test_a_missing_file_or_one_that_others_may_read_lets_nobody_in(path: Path) -> None:
    """Whoever may write it makes himself administrator; whoever may read it is up to something."""
    text, _ = create_token(path, MEMBER)
    identity = TokenIdentity(path)
    path.chmod(0o640)
    with pytest.raises(IdentityUnavailable):
        ask(identity, header(text))
    path.unlink()
    with pytest.raises(IdentityUnavailable):
        ask(identity, header(text))


@pytest.mark.parametrize(
    "grant",
    [
        Grant(),
        Grant(user="u"),
        Grant(user="u", host="h", roles=("admin",)),
        Grant(host="h", roles=("admin",)),
        Grant(host="h", project="p"),
        Grant(host="a/b"),
        Grant(host="a\nb"),
        MEMBER._replace(expires="tomorrow"),
        MEMBER._replace(expires="2030-01-01T00:00:00"),
    ],
)
def test_a_grant_that_cannot_be_meant_is_refused(path: Path, grant: Grant) -> None:
    """And nothing is written."""
    with pytest.raises(InvalidDeclaration):
        create_token(path, grant)
    assert not path.exists()


def test_what_is_listed_is_what_was_granted(path: Path) -> None:
    """The operator sees everything but the token."""
    create_token(path, AGENT._replace(expires="2031-01-01T00:00:00Z"), now="2030-01-01T00:00:00Z")
    (listed,) = read_tokens(path).values()
    assert (listed.host, listed.user, listed.created, listed.expires, listed.description) == (
        "net1",
        "agent of net1",
        "2030-01-01T00:00:00Z",
        "2031-01-01T00:00:00Z",
        "the first node",
    )
    assert json.loads(path.read_text())["tokens"].keys() == {TokenId(listed.id)}


# -- certificates, and several identities ----------------------------------------------------------


def test_an_agent_is_the_host_that_its_certificate_names() -> None:
    """And nothing else: no project, no roles."""
    caller = ask(CertificateIdentity(), {}, host="net1")
    assert (caller.host, caller.via, caller.project, caller.roles) == (
        "net1",
        "tls",
        None,
        frozenset(),
    )


@pytest.mark.parametrize("name", ["", "a/b", "a\n"])
def test_a_certificate_without_a_hosts_name_is_refused(name: str) -> None:
    assert refused(CertificateIdentity(), {}, host=name)


class AwayIdentity:
    """Knows every token, and can never be asked."""

    async def authenticate(self, credentials: Credentials) -> Caller:
        if not credentials.headers.get("x-auth-token"):
            raise NotPresented("nothing was presented")
        raise IdentityUnavailable("it is away")


def test_each_identity_of_a_chain_knows_its_own(path: Path) -> None:
    """Tokens are for their file, certificates for agents, everything else for the last."""
    text, token = create_token(path, MEMBER)
    chain = IdentityChain([TokenIdentity(path), CertificateIdentity(), AwayIdentity()])
    assert ask(chain, header(text)).via == "tokens"
    assert ask(chain, {}, host="net1").via == "tls"
    assert ask(chain, header(text), host="net1").via == "tokens"
    with pytest.raises(IdentityUnavailable):
        ask(chain, header("gAAAAAB"))
    assert refused(chain, {})
    revoke_token(path, token.id)
    # Refused by its own identity, and not shown to Keystone.
    assert refused(chain, header(text))
    assert refused(chain, header(text), host="net1")


def test_an_identity_that_is_away_opens_no_other(path: Path) -> None:
    """A file of tokens that is broken does not turn its tokens over to the next identity."""
    text, _ = create_token(path, MEMBER)
    path.unlink()
    chain = IdentityChain([TokenIdentity(path), NoIdentity("127.0.0.1")])
    with pytest.raises(IdentityUnavailable):
        ask(chain, LOCAL | header(text))
