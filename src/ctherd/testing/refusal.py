"""How the scripted kernel says no."""

import errno as codes

from ctherd.testing.wire import Attribute


class Refused(Exception):
    """A message is refused; *offset* points at the attribute to blame, where the kernel says it."""

    def __init__(self, errno: int, words: str = "", at: Attribute | None = None) -> None:
        super().__init__(errno, words)
        self.errno = errno
        self.words = words
        self.offset = None if at is None else at.offset


class Absent(Refused):
    """The very thing that shall be deleted is not there: DESTROY operations do not mind."""

    def __init__(self, at: Attribute) -> None:
        super().__init__(codes.ENOENT, at=at)


class NotModelled(Refused):
    """The real kernel may well do this, but the scripted one does not pretend to."""

    def __init__(self, what: str) -> None:
        super().__init__(codes.EOPNOTSUPP, f"the scripted kernel does not model {what}")
