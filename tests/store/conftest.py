"""A store in a file of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ctherd.store.sqlite import STORE_FILE, SqliteStore
from tests.testing.contract_store.factories import ALIVE_S


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / STORE_FILE


@pytest.fixture
async def opened(path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(path, alive_s=ALIVE_S)
    yield store
    await store.close()
