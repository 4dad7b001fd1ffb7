"""TLS and mutual TLS with real handshakes: who is believed, whom a certificate makes somebody."""

import signal
import ssl
from pathlib import Path

import httpx
import pytest

from ctherd.lab.namespace import Namespace
from tests.kernel.host import assigned, becomes
from tests.served.certificates import Authority, Pair
from tests.served.server import FTP, Site, told

NODE = "node-1"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "authority")


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "stranger")


@pytest.fixture
def secured(site: Site, authority: Authority) -> Site:
    """A site whose server speaks TLS, and believes the certificates of *authority*."""
    pair = authority.issue("server", "localhost", address="127.0.0.1")
    site.configure(
        "[server.tls]\n"
        f'certificate = "{pair.certificate}"\nkey = "{pair.key}"\nclient_ca = "{authority.path}"\n'
    )
    return site


def client(
    site: Site, authority: Authority, pair: Pair | None = None, token: str = ""
) -> httpx.Client:
    context = ssl.create_default_context(cafile=str(authority.path))
    if pair is not None:
        context.load_cert_chain(*pair)
    headers = {"X-Auth-Token": token} if token else {}
    return httpx.Client(
        base_url=site.url, verify=context, headers=headers, timeout=20, trust_env=False
    )


def admin(site: Site) -> str:
    words = ["--user", "root", "--project", "ops", "--role", "admin"]
    return site.ctherd("token", "create", *words).strip()


def watch_status(asking: httpx.Client, host: str) -> int:
    with asking.stream("GET", f"/v1/hosts/{host}/watch") as answer:
        return answer.status_code


def test_tenants_speak_tls_with_tokens(secured: Site, authority: Authority) -> None:
    """The server proves who it is; a tenant needs no certificate, and plain HTTP gets nothing."""
    with secured.server():
        assert secured.url.startswith("https://")
        with client(secured, authority, token=admin(secured)) as asking:
            assert told(asking.get("/v2.0/routers"))["routers"] == []
        with client(secured, authority) as asking:
            assert asking.get("/v2.0/routers").status_code == 401
        with pytest.raises(httpx.HTTPError):
            httpx.get(secured.url.replace("https", "http"), trust_env=False)


def test_a_certificate_makes_an_agent_and_of_one_host_only(
    secured: Site, authority: Authority, stranger: Authority
) -> None:
    """It sees its own host's documents, nobody else's, and is no tenant."""
    with secured.server():
        with client(secured, authority, authority.issue("x", NODE)) as asking:
            assert watch_status(asking, NODE) == 200
            assert watch_status(asking, "node-2") == 403
            assert told(asking.get("/v2.0/routers"))["routers"] == []
        with client(secured, authority, authority.issue(NODE)) as asking:
            assert watch_status(asking, NODE) == 200
        for unclear in (authority.issue("x", NODE, "node-2"), authority.issue("x", "*.net")):
            with client(secured, authority, unclear) as asking:
                assert watch_status(asking, NODE) == 401
        with (
            client(secured, authority, stranger.issue(NODE)) as asking,
            pytest.raises(httpx.HTTPError),
        ):
            watch_status(asking, NODE)


def test_an_agent_follows_over_mutual_tls(
    secured: Site, authority: Authority, netns: Namespace
) -> None:
    """A real agent with a certificate and pinned keys makes true what is declared."""
    pair = authority.issue(NODE)
    with secured.server():
        keys = secured.command.directory / "server-keys.json"
        keys.write_text(secured.ctherd("key", "export"))
        options = ["--server", secured.url, "--host", NODE, "--ca", str(authority.path)]
        options += ["--cert", str(pair.certificate), "--key", str(pair.key)]
        with (
            secured.command.daemon("agent", *options, "--server-keys", str(keys)),
            client(secured, authority, token=admin(secured)) as asking,
        ):
            router = secured.router(asking, netns.name, host=NODE)
            secured.helper(asking, router, FTP)
            assert becomes(lambda: assigned(netns.name) == {21})


def test_an_agent_is_configured_to_follow(
    secured: Site, authority: Authority, netns: Namespace
) -> None:
    """What the options of the command line say can stand in the configuration as well."""
    with secured.server():
        keys = secured.command.directory / "server-keys.json"
        keys.write_text(secured.ctherd("key", "export"))
        token = secured.command.directory / "node.token"
        token.touch(mode=0o600)
        token.write_text(secured.ctherd("token", "create", "--host", NODE))
        secured.configure(
            f'[follow]\nserver = "{secured.url}"\nhost = "{NODE}"\ntoken_file = "{token}"\n'
            f'ca = "{authority.path}"\nserver_keys = "{keys}"\n'
        )
        with (
            secured.command.daemon("agent"),
            client(secured, authority, token=admin(secured)) as asking,
        ):
            router = secured.router(asking, netns.name, host=NODE)
            secured.helper(asking, router, FTP)
            assert becomes(lambda: assigned(netns.name) == {21})


def test_an_agent_does_not_talk_to_a_server_that_proves_nothing(
    secured: Site, authority: Authority, stranger: Authority
) -> None:
    """Whoever stands between cannot have the host's token."""
    with secured.server() as server:
        keys = secured.command.directory / "server-keys.json"
        keys.write_text(secured.ctherd("key", "export"))
        options = ["--server", secured.url, "--host", NODE, "--ca", str(stranger.path)]
        with secured.command.daemon("agent", *options, "--server-keys", str(keys)):
            log = secured.command.log
            assert becomes(lambda: "CERTIFICATE_VERIFY_FAILED" in log.read_text())
            assert server.returncode() is None


def test_a_renewed_certificate_is_served_after_a_reload(
    secured: Site, authority: Authority, tmp_path: Path
) -> None:
    """SIGHUP reads both files again; a broken pair changes nothing."""
    served = tmp_path / "authority-1.crt"
    with secured.server() as server:
        host, port = "127.0.0.1", int(secured.url.rpartition(":")[2])

        def shown() -> str:
            return ssl.get_server_certificate((host, port))

        first = served.read_text()
        assert shown() == first
        renewed = authority.issue("server", "localhost", address="127.0.0.1")
        served.write_bytes(renewed.certificate.read_bytes())
        server.signal(signal.SIGHUP)
        log = secured.command.log
        assert becomes(lambda: "everything stays as it was" in log.read_text())
        assert shown() == first
        (tmp_path / "authority-1.key").write_bytes(renewed.key.read_bytes())
        server.signal(signal.SIGHUP)
        assert becomes(lambda: shown() == renewed.certificate.read_text())


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0"])
def test_plain_http_beyond_this_machine_must_be_asked_for(site: Site, address: str) -> None:
    """Tokens do not go over a network in the clear because somebody forgot a certificate."""
    assert "without TLS" in site.ctherd("server", "--listen", address, expect=1)
    said = site.ctherd("server", "--listen", address, "--identity", "none", expect=1)
    assert "without" in said
    site.configure("plain_http = true\n")
    with site.server("--listen", address):
        port = site.url.rpartition(":")[2]
        answer = httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False)
        assert answer.status_code == 200
    said = site.ctherd("server", "--listen", address, "--identity", "none", expect=1)
    assert "must not listen" in said


@pytest.mark.parametrize("missing", ["certificate", "key"])
def test_half_a_pair_is_an_error(site: Site, tmp_path: Path, missing: str) -> None:
    """A certificate without its key, or the reverse, is never taken for `no TLS`."""
    given = {"certificate": "key", "key": "certificate"}[missing]
    site.configure(f'[server.tls]\n{given} = "{tmp_path}/x"\n')
    assert "belong together" in site.ctherd("server", "--listen", "127.0.0.1:0", expect=1)
