"""``kill -9`` of a server that is writing: nothing that was acknowledged is lost."""

import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from ctherd.store.port import ABSENT, Revision
from ctherd.store.sqlite import SqliteStore
from tests.testing.contract_store.words import everything, put, seen, write

LOAD = Path(__file__).with_name("load.py")
ROUNDS = 8


def killed_under_load(path: Path, name: str, after: int) -> dict[str, Revision]:
    """Load the store in a process that is killed once *after* commits were acknowledged; return
    all that were."""
    with subprocess.Popen([sys.executable, LOAD, path, name], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(after)]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
    acknowledged = (line.decode().split() for line in lines if line.endswith(b"\n"))
    return {key: Revision(int(revision)) for key, revision in acknowledged}


@pytest.mark.slow
async def test_kill_9_loses_nothing(path: Path) -> None:
    """Again and again on the same file: every acknowledged commit is there, whole and at its
    revision; one that was not acknowledged is whole or not there; the change log says the same."""
    random = Random(7)
    acknowledged: dict[str, Revision] = {}
    for number in range(ROUNDS):
        acknowledged |= killed_under_load(path, str(number), random.randint(1, 600))
        store = await SqliteStore.open(path)
        held = await everything(store)
        last = await write(store, put("round", str(number)))
        for key, revision in acknowledged.items():
            assert held[f"a/{key}"].revision == revision
        for key, stored in held.items():
            if key.startswith("b/"):
                assert stored == held["a" + key[1:]]._replace(key=key)
        replayed = {event.key: event for event in await seen(store, last, since=ABSENT)}
        standing = {key for key, event in replayed.items() if event.value is not None}
        assert standing - {"round"} == held.keys() - {"round"}
        for key, stored in held.items():
            if key != "round":
                assert replayed[key][:] == (key, stored.value, stored.revision)
        await store.close()
    assert len(acknowledged) > 100
