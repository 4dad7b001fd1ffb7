"""What is counted of a store."""

import pytest
from prometheus_client import CollectorRegistry

from ctherd.store.measured import MeasuredStore
from ctherd.store.port import OutcomeUnknown, Unavailable
from ctherd.testing.memory_store import Fault, MemoryStore
from tests.testing.contract_store.words import absent, put


async def test_commits_are_counted_by_what_became_of_them() -> None:
    """Each of them once, and how long each took."""
    below = MemoryStore()
    store = MeasuredStore(below)
    registry = CollectorRegistry()
    registry.register(store)
    for write_id in ("one", "two"):
        await store.commit([], [put("a")], write_id=write_id)
    await store.commit([absent("a")], [put("a")], write_id="three")
    for fault, error in (
        (Fault.UNAVAILABLE, Unavailable),
        (Fault.LOST_BEFORE, OutcomeUnknown),
        (Fault.LOST_AFTER, OutcomeUnknown),
    ):
        below.plant(fault)
        with pytest.raises(error):
            await store.commit([], [put("b")], write_id=fault.name)
    counted = {
        outcome: registry.get_sample_value("ctherd_store_commits_total", {"outcome": outcome})
        for outcome in ("committed", "conflict", "unavailable", "unknown")
    }
    assert counted == {"committed": 2, "conflict": 1, "unavailable": 1, "unknown": 2}
    assert registry.get_sample_value("ctherd_store_commit_seconds_count") == 6
