"""Every test of the contract runs over every store."""

from collections.abc import AsyncIterator

import pytest

from ctherd.store.port import Store
from tests.testing.contract_store.factories import FACTORIES, Factory


@pytest.fixture(params=FACTORIES)
def factory(request: pytest.FixtureRequest) -> Factory:
    """How to make the store under test."""
    return FACTORIES[request.param]


@pytest.fixture
async def store(factory: Factory) -> AsyncIterator[Store]:
    """The store under test, new and empty."""
    async with factory() as made:
        yield made
