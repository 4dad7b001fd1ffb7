"""A server and a client of it for every test of the API."""

from collections.abc import AsyncIterator

import pytest

from tests.api.server import Client, Server, running


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with running() as found:
        yield found


@pytest.fixture
async def client(server: Server) -> Client:
    return Client(server.app())
