"""Commits as fast as it can, for a process that is to be killed.

``python load.py STORE ROUND`` prints each key when its commit was acknowledged; the value of
``a/…`` is in ``b/…`` of the same commit, too.
"""

import asyncio
import itertools
import os
import sys
from pathlib import Path
from uuid import uuid4

from ctherd.store.port import Conflict, Delete, Expect, Put, Revision
from ctherd.store.sqlite import SqliteStore

WRITERS = 6


async def load(store: SqliteStore, name: str) -> None:
    for n in itertools.count():
        value = os.urandom(200 + n % 3000)
        answer = await store.commit(
            [Expect(f"a/{name}/{n}", Revision(0))],
            [
                Put(f"a/{name}/{n}", value),
                Put(f"b/{name}/{n}", value),
                Put("last", f"{name}/{n}".encode()),
                Delete(f"b/{name}/{n - 100}"),
            ],
            write_id=str(uuid4()),
        )
        assert not isinstance(answer, Conflict)
        os.write(1, f"{name}/{n} {answer}\n".encode())


async def main() -> None:
    store = await SqliteStore.open(Path(sys.argv[1]))
    await asyncio.gather(*(load(store, f"{sys.argv[2]}-{n}") for n in range(WRITERS)))


asyncio.run(main())
