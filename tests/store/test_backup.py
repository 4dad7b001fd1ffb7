"""Backups of a store in use, and the new lives that begin with them."""

import asyncio
import shutil
import sqlite3
import stat
from pathlib import Path

import pytest

from ctherd.errors import Busy, ConfigurationError, LocalProtocolError
from ctherd.store.backup import backup, restore
from ctherd.store.port import Compacted, Delete, Put, Revision, Stored, Unavailable, Write
from ctherd.store.sqlite import SqliteStore
from tests.testing.contract_store.words import everything, put, until, write


def keep(stored: Stored, epoch: int) -> Write | None:
    """Rewrite nothing."""
    return None


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "backups" / "copy"


@pytest.fixture
async def backed_up(path: Path, copy: Path) -> Path:
    """The path of a store that is closed, and of which there is a backup."""
    copy.parent.mkdir()
    store = await SqliteStore.open(path)
    await write(store, put("a", "1"), put("b", "1"))
    await write(store, put("a", "2"))
    await store.close()
    backup(path, copy)
    return path


async def held(path: Path) -> dict[str, bytes]:
    store = await SqliteStore.open(path)
    found = {key: stored.value for key, stored in (await everything(store)).items()}
    await store.close()
    return found


# -- a backup --------------------------------------------------------------------------------------


async def test_a_backup_of_a_store_in_use(opened: SqliteStore, path: Path, copy: Path) -> None:
    """It is the store at one revision, while others write: all of a commit, or nothing."""
    copy.parent.mkdir()
    stop = asyncio.Event()
    await write(opened, *(put(f"{name}/{end}", "0") for name in "abc" for end in "xy"))

    async def load(name: str) -> int:
        n = 0
        while not stop.is_set():
            n += 1
            await write(opened, put(f"{name}/x", str(n)), put(f"{name}/y", str(n)))
        return n

    writers = [asyncio.create_task(load(name)) for name in "abc"]
    for _ in range(5):
        before = (await opened.snapshot()).revision
        place = await asyncio.to_thread(backup, path, copy)
        assert place.epoch == 1
        assert before <= place.revision <= (await opened.snapshot()).revision
        values = await held(copy)
        assert all(values[f"{name}/x"] == values[f"{name}/y"] for name in "abc")
    stop.set()
    assert min(await asyncio.gather(*writers)) > 0


async def test_a_backup_is_one_private_file(backed_up: Path, copy: Path) -> None:
    """It can be carried anywhere, and nobody else may read it; a later one takes its place."""
    backup(backed_up, copy)
    assert list(copy.parent.iterdir()) == [copy]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


async def test_a_backup_that_fails_leaves_the_older_one(backed_up: Path, copy: Path) -> None:
    """What is there is wholly old or wholly new."""
    before = copy.read_bytes()
    damage(backed_up)
    with pytest.raises(Unavailable):
        backup(backed_up, copy)
    assert copy.read_bytes() == before
    assert list(copy.parent.iterdir()) == [copy]


async def test_a_backup_over_a_store(opened: SqliteStore, path: Path, tmp_path: Path) -> None:
    """Neither over itself nor over another one that is in use: that would be its end."""
    other = await SqliteStore.open(tmp_path / "other.sqlite")
    await write(other, put("a"))
    for target in (path, tmp_path / "other.sqlite"):
        with pytest.raises(ConfigurationError, match="is a store"):
            backup(path, target)
    assert len(await everything(other)) == 1
    await other.close()


async def test_a_backup_of_nothing(tmp_path: Path) -> None:
    """It is no empty backup."""
    with pytest.raises(Unavailable):
        backup(tmp_path / "absent.sqlite", tmp_path / "copy")
    (tmp_path / "empty.sqlite").touch()
    with pytest.raises(Unavailable):
        backup(tmp_path / "empty.sqlite", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


# -- a new life ------------------------------------------------------------------------------------


async def test_a_restored_store_begins_a_new_life(
    backed_up: Path, copy: Path, tmp_path: Path
) -> None:
    """Everything that was in the backup, the next epoch, and revisions beyond the old ones."""
    target = tmp_path / "new" / "store.sqlite"
    place = restore(copy, target, keep)
    assert place.epoch == 2
    store = await SqliteStore.open(target)
    assert await store.epoch() == 2
    assert await store.get("a") == Stored("a", b"2", Revision(2))
    assert (await everything(store)).keys() == {"a", "b"}
    assert await write(store, put("c")) > place.revision
    await store.close()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert stat.S_IMODE(target.parent.stat().st_mode) == 0o700


async def test_nobody_resumes_from_a_lost_life(backed_up: Path, copy: Path) -> None:
    """Whatever was committed after the backup and lost with the old life: its revisions are
    behind the new life's, and a watch from any of them says compacted."""
    lost = await SqliteStore.open(backed_up)
    lost_revisions = [await write(lost, put("lost", str(n))) for n in range(20)]
    await lost.close()
    place = restore(copy, backed_up, keep, replace=True)
    assert place.revision > lost_revisions[-1]
    store = await SqliteStore.open(backed_up)
    for since in (Revision(0), Revision(2), *lost_revisions):
        with pytest.raises(Compacted):
            await anext(store.watch("", since))
    revision = await write(store, put("c"))
    assert len(await until(store, revision, since=place.revision)) == 1
    # The backup's own change log came along, but is not to be had again.
    assert await store.compact(2) == place.revision
    with pytest.raises(Compacted):
        await anext(store.watch("", Revision(1)))
    await store.close()


async def test_what_is_rewritten_is_rewritten_in_the_new_epoch(backed_up: Path, copy: Path) -> None:
    """Each key is asked about once, in order, with the epoch that it will be in."""
    asked = []

    def rewrite(stored: Stored, epoch: int) -> Write | None:
        asked.append((stored.key, stored.value))
        return Put("a", b"epoch %d" % epoch) if stored.key == "a" else Delete("b")

    place = restore(copy, backed_up, rewrite, replace=True)
    assert asked == [("a", b"2"), ("b", b"1")]
    store = await SqliteStore.open(backed_up)
    assert list((await everything(store)).values()) == [Stored("a", b"epoch 2", place.revision)]
    await store.close()


async def test_a_rewrite_that_fails_changes_nothing(backed_up: Path, copy: Path) -> None:
    """The old store stays, and so does nothing of the new one."""

    def fail(stored: Stored, epoch: int) -> Write | None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        restore(copy, backed_up, fail, replace=True)
    with pytest.raises(LocalProtocolError):
        restore(copy, backed_up, lambda stored, epoch: Put("else", b""), replace=True)
    assert await held(backed_up) == {"a": b"2", "b": b"1"}
    assert not [each for each in backed_up.parent.iterdir() if "new" in each.name]


async def test_epochs_never_repeat(backed_up: Path, copy: Path, tmp_path: Path) -> None:
    """The same backup restored twice, over what the first restore made or on a new disk where
    somebody remembers how far it was."""
    assert restore(copy, backed_up, keep, replace=True).epoch == 2
    second = restore(copy, backed_up, keep, replace=True)
    assert second.epoch == 3
    elsewhere = restore(copy, tmp_path / "elsewhere", keep, past_epoch=7)
    assert elsewhere.epoch == 8
    assert elsewhere.revision > second.revision


async def test_a_restore_of_a_restored_store(backed_up: Path, copy: Path) -> None:
    """Lives follow each other in backups, too."""
    restore(copy, backed_up, keep, replace=True)
    assert backup(backed_up, copy).epoch == 2
    assert restore(copy, backed_up, keep, replace=True).epoch == 3


async def test_a_store_is_not_replaced_unasked(backed_up: Path, copy: Path) -> None:
    """Without the word for it nothing happens."""
    store = await SqliteStore.open(backed_up)
    await write(store, put("c"))
    await store.close()
    with pytest.raises(ConfigurationError, match="there is a store"):
        restore(copy, backed_up, keep)
    assert (await held(backed_up)).keys() == {"a", "b", "c"}


async def test_a_store_in_use_is_never_replaced(backed_up: Path, copy: Path) -> None:
    """Whatever was asked for."""
    store = await SqliteStore.open(backed_up)
    with pytest.raises(Busy):
        restore(copy, backed_up, keep, replace=True)
    await write(store, put("c"))
    await store.close()
    assert (await held(backed_up)).keys() == {"a", "b", "c"}


async def test_a_damaged_store_can_be_replaced(
    backed_up: Path, copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """That is what backups are for; that its epoch is not known is told."""
    backed_up.write_bytes(b"rubbish" * 5000)
    backed_up.with_name(backed_up.name + "-wal").write_bytes(b"rubbish")
    assert restore(copy, backed_up, keep, replace=True).epoch == 2
    assert "cannot be read" in caplog.text
    assert await held(backed_up) == {"a": b"2", "b": b"1"}


@pytest.mark.parametrize("left", [b"", b"rubbish", b"rubbish" * 5000])
async def test_the_log_of_a_store_that_died_is_not_read_with_the_new_one(
    path: Path, copy: Path, tmp_path: Path, left: bytes
) -> None:
    """Its process was killed, its file is damaged or was moved away, and what it wrote last is
    still beside it."""
    copy.parent.mkdir()
    store = await SqliteStore.open(tmp_path / "dying.sqlite")
    await write(store, put("a", "in the backup"))
    backup(tmp_path / "dying.sqlite", copy)
    await write(store, put("a", "lost"), *(put(f"lost/{n}") for n in range(100)))
    path.parent.mkdir()
    if left:
        path.write_bytes(left)
    shutil.copy(tmp_path / "dying.sqlite-wal", path.with_name(path.name + "-wal"))
    await store.close()
    restore(copy, path, keep, replace=True)
    assert await held(path) == {"a": b"in the backup"}


@pytest.mark.parametrize("what", ["damaged", "foreign", "newer", "empty", "absent"])
async def test_what_is_no_good_backup(backed_up: Path, copy: Path, what: str) -> None:
    """It is refused, and the store stays as it was."""
    if what == "damaged":
        damage(copy)
    if what == "empty":
        copy.write_bytes(b"")
    if what == "absent":
        copy.unlink()
    pragma = {"foreign": "application_id = 7", "newer": "user_version = 99"}.get(what)
    if pragma:
        db = sqlite3.connect(copy)
        db.execute(f"PRAGMA {pragma}")
        db.close()
    with pytest.raises(Unavailable):
        restore(copy, backed_up, keep, replace=True)
    assert await held(backed_up) == {"a": b"2", "b": b"1"}


def damage(path: Path) -> None:
    """Overwrite a page in the middle of the file."""
    with path.open("r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xa5" * 4096)
