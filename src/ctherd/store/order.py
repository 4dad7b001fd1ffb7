"""What a commit asks for, and what it did: the values that stores are built of."""

from collections.abc import Sequence
from dataclasses import dataclass

from ctherd.errors import LocalProtocolError
from ctherd.store.port import Event, Expect, Revision, Write


@dataclass(frozen=True, slots=True)
class Order:
    """What one call of ``Store.commit`` asks for.

    Raises: LocalProtocolError if no store could do it.
    """

    expects: Sequence[Expect]
    writes: Sequence[Write]
    write_id: str

    def __post_init__(self) -> None:
        keys = [write.key for write in self.writes]
        if len(set(keys)) < len(keys):
            raise LocalProtocolError("a commit writes a key twice", where=", ".join(keys))
        for key in (*keys, *(expect.key for expect in self.expects)):
            if not key or not (key.isascii() or _is_utf8(key)):
                raise LocalProtocolError("this cannot be a key", where=repr(key))


@dataclass(frozen=True, slots=True)
class Committed:
    """A commit as the change log has it."""

    revision: Revision
    events: tuple[Event, ...]
    write_id: str = ""


def _is_utf8(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True
