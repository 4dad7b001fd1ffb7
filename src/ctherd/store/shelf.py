"""Keys in memory, found by name, and in order by prefix."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence

from ctherd.store.port import Stored
from ctherd.store.prefix import beyond


class Shelf:
    """What is stored at each key, one version of each."""

    def __init__(self, stored: Iterable[Stored] = ()) -> None:
        self._stored = {each.key: each for each in stored}
        # A list, for it is read far oftener than a key comes or goes.
        self._keys = sorted(self._stored)

    def get(self, key: str) -> Stored | None:
        """Return what is stored at *key*."""
        return self._stored.get(key)

    def put(self, stored: Stored) -> None:
        """Store it, over what was at its key."""
        if stored.key not in self._stored:
            insort(self._keys, stored.key)
        self._stored[stored.key] = stored

    def drop(self, key: str) -> None:
        """Forget *key*; one that is absent is no error."""
        if self._stored.pop(key, None):
            del self._keys[bisect_left(self._keys, key)]

    def under(self, prefix: str) -> Sequence[Stored]:
        """Return what is stored at keys with *prefix*, in their order."""
        end = beyond(prefix)
        last = bisect_left(self._keys, end) if end else len(self._keys)
        return [self._stored[key] for key in self._keys[bisect_left(self._keys, prefix) : last]]
