"""The SQLite store as a file: private, held by one process, migrated, and written in groups."""

import asyncio
import gc
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ctherd.errors import Busy
from ctherd.store.order import Committed
from ctherd.store.port import ABSENT, Compacted, Conflict, Revision, Stored, Unavailable
from ctherd.store.schema import MIGRATIONS, migrate, prepare
from ctherd.store.sqlite import SqliteStore
from tests.conftest import GOLDEN
from tests.testing.contract_store.words import (
    absent,
    attempt,
    delete,
    everything,
    put,
    seen,
    write,
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def raw(path: Path, *statements: str) -> list[object]:
    """Do something to the file as a stranger would; return what the last statement answers."""
    db = sqlite3.connect(path, isolation_level=None)
    try:
        return [db.execute(statement).fetchall() for statement in statements][-1]
    finally:
        db.close()


# -- what the next process finds -------------------------------------------------------------------


async def test_everything_is_there_after_a_restart(path: Path) -> None:
    """Keys, revisions, changes, outcomes, and what was compacted."""
    store = await SqliteStore.open(path)
    await write(store, put("a", "1"), put("b"))
    oldest = await store.compact(0)
    revision = await store.commit([], [put("a", "2"), delete("b")], write_id="w")
    assert not isinstance(revision, Conflict)
    await store.close()
    again = await SqliteStore.open(path)
    assert list((await everything(again)).values()) == [Stored("a", b"2", revision)]
    assert len(await seen(again, revision, since=oldest)) == 2
    with pytest.raises(Compacted):
        await anext(again.watch("", ABSENT))
    assert await again.outcome("w") == revision
    assert await write(again, put("c")) > revision
    assert await again.epoch() == 1
    await again.close()


async def test_a_reader_of_the_file_sees_what_is_acknowledged(
    opened: SqliteStore, path: Path
) -> None:
    """Not only this process does: it is in the file."""
    await write(opened, put("a", "1"))
    assert raw(path, "SELECT key, value FROM stored") == [("a", b"1")]


# -- one transaction for all that wait -------------------------------------------------------------


async def test_commits_that_wait_together_share_a_transaction(
    opened: SqliteStore, path: Path
) -> None:
    """However long the first takes, all that gather behind it are one fsync."""
    stranger = sqlite3.connect(path, isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    commits = [asyncio.create_task(write(opened, put(f"k/{n}"))) for n in range(200)]
    await asyncio.sleep(0)
    stranger.close()
    await asyncio.gather(*commits)
    assert opened.figures.commits == 200
    assert opened.figures.transactions <= 2


async def test_a_lone_commit_is_a_transaction(opened: SqliteStore) -> None:
    """Nobody waits for company."""
    for n in range(5):
        await write(opened, put(f"k/{n}"))
    assert opened.figures.transactions == opened.figures.commits == 5


async def test_a_conflict_costs_no_transaction(opened: SqliteStore) -> None:
    """Nothing is written, so nothing waits for the disk."""
    await write(opened, put("a"))
    for _ in range(3):
        assert isinstance(await attempt(opened, put("a"), expects=[absent("a")]), Conflict)
    assert opened.figures.transactions == 1


def test_every_transaction_is_synced(path: Path) -> None:
    """The writer's connection has the settings that the promise rests on."""
    path.parent.mkdir()
    db = prepare(path)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert db.execute("PRAGMA synchronous").fetchone() == (2,)
    db.close()


async def test_who_is_cancelled_harms_nobody(opened: SqliteStore) -> None:
    """Its commit happens or not; all others are answered."""
    tasks = [asyncio.create_task(write(opened, put(f"k/{n}"))) for n in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(answer, int) for answer in answers[1::2])
    assert len(await everything(opened)) >= 10


async def test_compaction_empties_the_file(opened: SqliteStore, path: Path) -> None:
    """What is forgotten is removed, in slices, between which others commit."""
    for _ in range(5):
        await asyncio.gather(*(write(opened, put("a", str(n))) for n in range(500)))
    await asyncio.gather(opened.compact(7), *(write(opened, put("b")) for _ in range(3)))
    await opened.compact(7)
    assert raw(path, "SELECT count(*) FROM committed") == [(7,)]
    assert raw(path, "SELECT count(*) FROM change") == [(7,)]


async def test_memory_holds_the_last_commits_only(opened: SqliteStore) -> None:
    """However many there were; a watch of older ones reads them from the file."""
    gc.collect()
    before = sum(isinstance(each, Committed) for each in gc.get_objects())
    for _ in range(6):
        last = max(await asyncio.gather(*(write(opened, put("a", str(n))) for n in range(500))))
    assert sum(isinstance(each, Committed) for each in gc.get_objects()) - before < 1500
    assert len(await seen(opened, last)) == 3000


# -- the files -------------------------------------------------------------------------------------


async def test_nobody_else_may_read_it(path: Path) -> None:
    """Directory 0700, files 0600 whatever the umask, SQLite's side files and the lock too."""
    before = os.umask(0)
    try:
        store = await SqliteStore.open(path)
        await write(store, put("a"))
        assert mode(path.parent) == 0o700
        assert {mode(each) for each in path.parent.iterdir()} == {0o600}
        assert len(list(path.parent.iterdir())) == 4
        await store.close()
    finally:
        os.umask(before)


async def test_a_closed_store_is_one_file(path: Path) -> None:
    """Whoever copies it then has everything."""
    store = await SqliteStore.open(path)
    await write(store, put("a"))
    await store.get("a")
    await store.close()
    assert {each.name for each in path.parent.iterdir()} == {path.name, f"{path.name}.lock"}


async def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    """Who can write to the directory cannot make us write elsewhere."""
    path.parent.mkdir()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unavailable):
        await SqliteStore.open(path)
    assert not (tmp_path / "elsewhere").exists()


async def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """It is told where, and whom to ask."""
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable) as caught:
        await SqliteStore.open(tmp_path / "file" / "store.sqlite")
    assert str(tmp_path / "file") in str(caught.value)


HOLD = """
import asyncio, sys
from pathlib import Path
from ctherd.store.sqlite import SqliteStore

async def hold():
    await SqliteStore.open(Path(sys.argv[1]))
    print("held", flush=True)
    await asyncio.to_thread(sys.stdin.read)

asyncio.run(hold())
"""


async def test_one_process_holds_it(path: Path) -> None:
    """The second is told who is there; when that one is killed, the store is free."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(Busy, match=rf"\(process {holder.pid}\)"):
            await SqliteStore.open(path)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        store = await SqliteStore.open(path)
        await write(store, put("a"))
        await store.close()


async def test_a_store_that_failed_to_open_is_not_held(path: Path) -> None:
    """What was wrong can be put right without a new process."""
    path.parent.mkdir()
    path.write_bytes(b"no database at all, but long enough to be one" * 100)
    with pytest.raises(Unavailable):
        await SqliteStore.open(path)
    path.unlink()
    await (await SqliteStore.open(path)).close()


# -- formats ---------------------------------------------------------------------------------------


async def test_a_store_of_format_1_is_read(path: Path) -> None:
    """What the first release wrote, as it wrote it: nothing of it is lost or changed."""
    path.parent.mkdir()
    db = sqlite3.connect(path)
    db.executescript((GOLDEN / "store" / "format-1.sql").read_text(encoding="utf-8"))
    db.close()
    store = await SqliteStore.open(path)
    assert list((await everything(store)).values()) == [
        Stored("doc/edge/r1", b'{"kind":"document"}', Revision(3)),
        Stored("router/r1", b"\x00\xff", Revision(2)),
    ]
    assert [
        (e.key, e.value, e.revision) for e in await seen(store, Revision(4), since=Revision(1))
    ] == [
        ("router/r1", b"\x00\xff", 2),
        ("doc/edge/r1", b'{"kind":"document"}', 3),
        ("router/r2", None, 4),
    ]
    assert await store.outcome("w3") == 3
    assert await store.epoch() == 2
    assert await write(store, put("a")) > 4
    await store.close()
    assert raw(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]


async def test_a_newer_format_is_refused(path: Path) -> None:
    """An older ctherd does not guess what a newer one wrote, and changes nothing."""
    await (await SqliteStore.open(path)).close()
    raw(path, "PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(Unavailable, match="newer ctherd") as caught:
        await SqliteStore.open(path)
    assert caught.value.cure
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "foreign", ["PRAGMA application_id = 7", "PRAGMA user_version = 1", "CREATE TABLE stored (a)"]
)
async def test_the_database_of_another_program_is_refused(path: Path, foreign: str) -> None:
    """It is not taken for ours, and nothing is added to it."""
    path.parent.mkdir()
    raw(path, foreign)
    before = path.read_bytes()
    with pytest.raises(Unavailable, match="another program"):
        await SqliteStore.open(path)
    assert path.read_bytes() == before


def test_a_migration_happens_whole_or_not_at_all(path: Path) -> None:
    """If a later step fails, the file is what it was, and can be migrated later."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    migrate(db, [["CREATE TABLE a (x)"]])
    with pytest.raises(sqlite3.OperationalError):
        migrate(db, [[], ["CREATE TABLE b (x)", "nonsense"]])
    assert db.execute("PRAGMA user_version").fetchone() == (1,)
    assert db.execute("SELECT name FROM sqlite_schema").fetchall() == [("a",)]
    migrate(db, [[], ["CREATE TABLE b (x)"], ["CREATE TABLE c (x)"]])
    assert db.execute("PRAGMA user_version").fetchone() == (3,)
    assert db.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (3,)
    db.close()
