"""The listener below the API: the name in a certificate, slow clients, and how it ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from ctherd.api import listener
from ctherd.api.listener import Listener, bind, certificate_host, url_of
from ctherd.errors import ConfigurationError

pytestmark = pytest.mark.anyio


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


@asynccontextmanager
async def serving() -> AsyncIterator[int]:
    bound = bind("127.0.0.1", 0)
    port = bound.getsockname()[1]
    assert url_of(bound, "http") == f"http://127.0.0.1:{port}"
    server = Listener(hello, bound, None)
    task = asyncio.create_task(server.serve())
    await server.started()
    try:
        yield port
    finally:
        server.stop()
        async with asyncio.timeout(20):
            await task


async def test_it_serves_until_told_to_stop() -> None:
    """Connections are taken as soon as it says so, and `serve` returns after `stop`."""
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    writer.close()


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n"])
async def test_who_does_not_say_what_he_wants_is_let_go(
    monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    """A client cannot hold a connection by sending nothing, or a head that never ends."""
    monkeypatch.setattr(listener, "_HEAD_S", 0.2)
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        async with asyncio.timeout(20):
            assert await reader.read() == b""
        writer.close()


async def test_a_connection_that_is_used_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is for one head, and not for a connection."""
    monkeypatch.setattr(listener, "_HEAD_S", 0.3)
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for path in ("/a", "/b"):
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert (await reader.readuntil(path.encode())).endswith(path.encode())
            # Nobody asks for longer than a head may take.
            await asyncio.sleep(0.4)
        writer.close()


async def test_an_address_that_is_taken_is_one_clear_error() -> None:
    """With the address, the system's words, and what to do."""
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"{port}: Address already in use"):
            bind("127.0.0.1", port)


@pytest.mark.parametrize(
    ("certificate", "host"),
    [
        (None, ""),
        ({}, ""),
        ({"subject": ((("commonName", "node-1"),),)}, "node-1"),
        (
            {"subject": ((("commonName", "x"),),), "subjectAltName": (("DNS", "node-1"),)},
            "node-1",
        ),
        ({"subjectAltName": (("DNS", "node-1"), ("DNS", "node-2"))}, ""),
        ({"subjectAltName": (("DNS", "*.example.net"),)}, ""),
        ({"subject": (), "subjectAltName": (("IP Address", "192.0.2.1"),)}, ""),
    ],
)
def test_a_certificate_names_one_host_or_none(certificate: Any, host: str) -> None:
    """Where it is not clear who it is, it is nobody."""
    assert certificate_host(certificate) == host
