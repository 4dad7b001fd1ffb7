"""Disks that are full, fail, are locked, or lie: 503 and a clear log, and never half a state."""

import asyncio
import json
import logging
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ctherd.store import schema
from ctherd.store.port import Conflict, OutcomeUnknown, Unavailable
from ctherd.store.sqlite import SqliteStore
from tests.testing.contract_store.words import everything, put, seen, write

STORY = Path(__file__).with_name("full_disk.py")


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    return [(record.levelno, record.getMessage()) for record in caplog.records]


# -- full ------------------------------------------------------------------------------------------


@pytest.mark.root
def test_a_full_disk(tmp_path: Path) -> None:
    """On a real one of 1 MB: what was acknowledged is there, what was refused is not, it says
    so once each time it begins and ends, and goes on by itself when there is room."""
    run = subprocess.run(
        [
            *("unshare", "--mount", "--propagation", "private", "sh", "-c"),
            f'mount -t tmpfs -o size=1m none "{tmp_path}" && exec "$0" "$@"',
            *(sys.executable, STORY, tmp_path),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    saw = json.loads(run.stdout)
    assert saw["found"] == saw["acknowledged"]
    assert len(saw["acknowledged"]) >= 5
    assert saw["times_refused"] > 50
    for refusal in saw["refused"]:
        assert refusal.startswith("store-unavailable: ")
        assert "disk is full" in refusal
        assert "make room" in refusal
    assert [line.split()[0] for line in saw["log"]] == ["ERROR", "WARNING"] * 5 + ["ERROR"]
    assert all("disk is full" in line for line in saw["log"][::2])


# -- failing ---------------------------------------------------------------------------------------


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """Let writes beyond *size* bytes of a file fail: EFBIG, which SQLite knows as an I/O error."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def wal_size(path: Path) -> int:
    return path.with_name(path.name + "-wal").stat().st_size


async def test_a_disk_that_fails_at_the_commit(
    opened: SqliteStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody can say what it will show after a crash, so the outcome is unknown until something
    else was written in its place; then it did not happen."""
    first = await write(opened, put("a", "1"))
    caplog.clear()
    with files_end_at(wal_size(path)):
        for _ in range(2):
            with pytest.raises(OutcomeUnknown) as caught:
                await opened.commit([], [put("a", "2")], write_id="lost")
            assert caught.value.where == str(path)
        with pytest.raises(Unavailable, match="does not say"):
            await opened.outcome("lost")
        found = await opened.get("a")
        assert found is not None and found.revision == first
    assert await opened.outcome("lost") is None
    assert [level for level, _ in told(caplog)] == [logging.ERROR]
    revision = await opened.commit([], [put("a", "3")], write_id="again")
    assert not isinstance(revision, Conflict)
    assert await opened.outcome("lost") is None
    assert [event.value for event in await seen(opened, revision, since=first)] == [b"3"]
    assert [level for level, _ in told(caplog)] == [logging.ERROR, logging.WARNING]


async def test_a_disk_that_fails_once(opened: SqliteStore, path: Path) -> None:
    """If something smaller can be written in its place, it is certain that nothing happened."""
    await write(opened, put("a", "1"))
    with files_end_at(wal_size(path) + 20_000), pytest.raises(Unavailable):
        await opened.commit([], [put("a", "x" * 50_000)], write_id="lost")
    assert await opened.outcome("lost") is None
    assert await write(opened, put("a", "2")) > 1


async def test_an_outcome_ends_the_doubt(opened: SqliteStore, path: Path) -> None:
    """Whoever asks what became of a lost commit is the one for whom the next is written."""
    await write(opened, put("a", "1"))
    with files_end_at(wal_size(path)), pytest.raises(OutcomeUnknown):
        await opened.commit([], [put("a", "2")], write_id="lost")
    assert await opened.outcome("lost") is None
    transactions = opened.figures.transactions
    assert await opened.outcome("lost") is None
    assert opened.figures.transactions == transactions == 2


# -- locked ----------------------------------------------------------------------------------------


async def test_a_file_that_somebody_locks(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commits are refused, reads go on, and when it is let go of everything does."""
    monkeypatch.setattr(schema, "BUSY_S", 0.05)
    opened = await SqliteStore.open(path)
    first = await write(opened, put("a", "1"))
    stranger = sqlite3.connect(path, isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    refused = [asyncio.create_task(write(opened, put("a", "2"))) for _ in range(3)]
    for task in refused:
        with pytest.raises(Unavailable, match="locked") as caught:
            await task
        assert "end the program" in caught.value.cure
    found = await opened.get("a")
    assert found is not None and found.revision == first
    stranger.execute("ROLLBACK")
    stranger.close()
    await write(opened, put("a", "3"))
    assert [level for level, _ in told(caplog)] == [logging.ERROR, logging.WARNING]
    await opened.close()


async def test_too_many_that_wait(opened: SqliteStore) -> None:
    """There is a limit, beyond which the next is refused at once; the others are carried out."""
    answers = await asyncio.gather(
        *(write(opened, put(f"k/{n}")) for n in range(1500)), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, Unavailable)]
    assert 0 < len(refused) < 1000
    assert len(await everything(opened)) == 1500 - len(refused)
    await write(opened, put("k/0"))


# -- corrupt ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"not a database at all, but long enough" * 50, b"SQLite"])
async def test_what_is_no_database_is_refused_and_kept(path: Path, content: bytes) -> None:
    """It is not repaired, and not written to: the error says where, and what to do."""
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(Unavailable) as caught:
        await SqliteStore.open(path)
    assert caught.value.where == str(path)
    assert "ctherd restore" in caught.value.cure
    assert path.read_bytes() == content


async def test_damage_within(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be read is not taken for absent, and nothing is written over it."""
    store = await SqliteStore.open(path)
    await write(store, *(put(f"k/{n:04}", "v" * 400) for n in range(1000)))
    await store.close()
    with path.open("r+b") as file:
        # All but the schema and the roots of the tables.
        file.seek(12 * 4096)
        file.write(b"\xa5" * (path.stat().st_size - file.tell()))
    store = await SqliteStore.open(path)
    with pytest.raises(Unavailable) as caught:
        await everything(store)
    assert "ctherd restore" in caught.value.cure
    results = await asyncio.gather(
        *(store.get(f"k/{n:04}") for n in range(1000)), return_exceptions=True
    )
    failures = [result for result in results if isinstance(result, Unavailable)]
    assert failures
    assert all(result is not None for result in results)
    assert any("malformed" in line for _, line in told(caplog))
    await store.close()


async def test_a_store_that_lost_its_place(path: Path) -> None:
    """It is not started as an empty one."""
    await (await SqliteStore.open(path)).close()
    db = sqlite3.connect(path)
    db.execute("DELETE FROM state")
    db.commit()
    db.close()
    with pytest.raises(Unavailable):
        await SqliteStore.open(path)
