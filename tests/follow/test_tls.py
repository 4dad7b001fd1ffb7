"""Agents and servers that know each other by certificates."""

from pathlib import Path

import pytest

from ctherd.agent.server_client import ServerAddress, ServerClient
from ctherd.api.tls import TlsFiles, server_context
from ctherd.errors import ConfigurationError
from ctherd.model.router import HostName
from ctherd.testing.memory_store import MemoryStore
from tests.follow.agents import ScriptedHost
from tests.follow.certificates import Authority
from tests.follow.conftest import becomes
from tests.follow.server import Listening, Server, new_signer, pin
from tests.reconcile.machine import FTP

pytestmark = pytest.mark.anyio


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def listening(tmp_path: Path, authority: Authority) -> Listening:
    """A server that shows a certificate and believes those of hosts."""
    files = authority.vouch("server", address="127.0.0.1")
    return Listening(server_context(TlsFiles(*files, authority.path)))


async def test_a_host_is_who_its_certificate_names(
    tmp_path: Path, authority: Authority, listening: Listening
) -> None:
    """Mutual TLS instead of a token: declared, true, reported."""
    host = ScriptedHost("a", tmp_path / "a", "q1")
    certificate, key = authority.vouch("a")
    tls = {"certificate": certificate, "key": key, "authorities": authority.path}
    async with (
        Server(MemoryStore(), new_signer()) as server,
        listening.serve(server),
        host.agent(listening.url, pin(server, tmp_path / "pin"), tls=tls) as agent,
    ):
        assert await becomes(lambda: server.feed.is_watched_by(host.name))
        router = await server.declare("r1", [("a", "q1")], FTP)
        assert await server.board.settled(router.id, router.serial, 10)
        assert agent.ports("q1") == {21}


@pytest.mark.parametrize("who", ["another host", "a stranger's authority", "nobody"])
async def test_who_is_not_the_host_hears_nothing(
    tmp_path: Path, authority: Authority, listening: Listening, who: str
) -> None:
    """The wrong name, the wrong authority, or none at all."""
    host = ScriptedHost("a", tmp_path / "a", "q1")
    tls = {"authorities": authority.path}
    if who != "nobody":
        (tmp_path / "other").mkdir()
        voucher = authority if who == "another host" else Authority(tmp_path / "other")
        tls["certificate"], tls["key"] = voucher.vouch("b" if who == "another host" else "a")
    async with (
        Server(MemoryStore(), new_signer()) as server,
        listening.serve(server),
        host.agent(listening.url, pin(server, tmp_path / "pin"), tls=tls) as agent,
    ):
        await server.declare("r1", [("a", "q1")], FTP)
        assert await becomes(lambda: agent.source._follower._complaint)
        assert not server.feed.watching
        assert agent.ports("q1") == set()


async def test_a_server_that_nobody_vouches_for_is_told_nothing(
    tmp_path: Path, listening: Listening
) -> None:
    """The token does not leave before the server has proved who it is."""
    host = ScriptedHost("a", tmp_path / "a", "q1")
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other")
    tls = {"token_file": tmp_path / "a" / "token", "authorities": stranger.path}
    async with (
        Server(MemoryStore(), new_signer()) as server,
        listening.serve(server),
        host.agent(listening.url, pin(server, tmp_path / "pin"), tls=tls) as agent,
    ):
        assert await becomes(lambda: "CERTIFICATE_VERIFY" in agent.source._follower._complaint)
        assert not server.feed.watching


@pytest.mark.parametrize(
    ("url", "host", "words"),
    [
        ("ftp://server", "a", "no server's address"),
        ("https://", "a", "no server's address"),
        ("server:9696", "a", "no server's address"),
        ("http://server:x", "a", "no address"),
        ("https://server", "a/b", "cannot name a host"),
        ("https://server", "..", "cannot name a host"),
    ],
)
async def test_an_address_that_cannot_be_meant(url: str, host: str, words: str) -> None:
    """It is an error of the configuration, and not a server that is away for ever."""
    with pytest.raises(ConfigurationError, match=words):
        ServerClient(ServerAddress(url, HostName(host)), silence_s=1)


async def test_certificates_that_cannot_be_read(tmp_path: Path) -> None:
    """So are they."""
    with pytest.raises(ConfigurationError, match="TLS cannot be used"):
        ServerClient(
            ServerAddress("https://server", HostName("a"), certificate=tmp_path / "none"),
            silence_s=1,
        )
