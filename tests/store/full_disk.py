"""A store on a disk of one megabyte that fills up; run where that disk can be mounted.

``python full_disk.py DIRECTORY`` prints as JSON what it saw.
"""

import asyncio
import json
import logging
import os
import sys
from pathlib import Path
from uuid import uuid4

from ctherd.errors import CtherdError
from ctherd.store.port import Expect, Put, Revision
from ctherd.store.sqlite import SqliteStore


class Disk:
    """The disk, which can be filled and emptied."""

    def __init__(self, directory: Path) -> None:
        self._filler = directory / "filler"

    def fill(self, *, but: int = 0) -> None:
        """Use up everything *but* some bytes."""
        with self._filler.open("ab", buffering=0) as file:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    pass
            file.truncate(max(0, file.tell() - but))

    def empty(self) -> None:
        self._filler.unlink()


async def attempt(store: SqliteStore, key: str, size: int) -> str:
    """Write *key* anew; return "" or the code of the error."""
    try:
        answer = await store.commit(
            [Expect(key, Revision(0))], [Put(key, b"v" * size)], write_id=str(uuid4())
        )
    except CtherdError as error:
        return f"{error.code}: {error}"
    assert isinstance(answer, int)
    return ""


async def opening(path: Path) -> str:
    """Open and close a store; return "" or the error."""
    try:
        await (await SqliteStore.open(path)).close()
    except CtherdError as error:
        return f"{error.code}: {error}"
    return ""


async def keys(store: SqliteStore) -> list[str]:
    snapshot = await store.snapshot()
    return [each.key async for page in snapshot.pages for each in page]


async def story(directory: Path, log: list[str]) -> dict[str, object]:
    disk, path = Disk(directory), directory / "store.sqlite"
    store = await SqliteStore.open(path)
    acknowledged: list[str] = []
    refused: list[str] = []
    for cycle in range(5):
        # Room and sizes differ: each time it is full in another place of a transaction.
        disk.fill(but=cycle * 20_000)
        for n in range(4):
            key = f"full/{cycle}/{n}"
            error = await attempt(store, key, 3000 * n + 700 * cycle)
            (refused if error else acknowledged).append(error or key)
        together = [f"together/{cycle}/{n}" for n in range(20)]
        errors = await asyncio.gather(*(attempt(store, key, 4000) for key in together))
        acknowledged += [key for key, error in zip(together, errors, strict=True) if not error]
        refused += [error for error in errors if error]
        during = await keys(store)
        assert sorted(during) == sorted(acknowledged), "half a state while it is full"
        disk.empty()
        assert not await attempt(store, f"after/{cycle}", 2000), "it did not recover"
        acknowledged.append(f"after/{cycle}")
    disk.fill()
    refused.append(await attempt(store, "last", 5000))
    await store.close()
    refused.append(await opening(directory / "new.sqlite"))
    disk.empty()
    assert not await opening(directory / "new.sqlite")
    again = await SqliteStore.open(path)
    found = await keys(again)
    await again.close()
    return {
        "acknowledged": sorted(acknowledged),
        "found": found,
        "refused": sorted(set(refused)),
        "times_refused": len(refused),
        "log": log,
    }


class Log(logging.Handler):
    """Keeps what was logged."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(f"{record.levelname} {record.getMessage()}")


if __name__ == "__main__":
    lines: list[str] = []
    logging.getLogger("ctherd.store").addHandler(Log(lines))
    os.umask(0o077)
    json.dump(asyncio.run(story(Path(sys.argv[1]), lines)), sys.stdout)
