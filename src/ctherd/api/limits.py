"""How much a client may ask of the server at a time, and what happens beyond that.

Nothing is queued here: a request is taken up at once or refused at once, so that an overload costs
those who cause it an error with ``Retry-After``, and everybody else nothing.
"""

from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ctherd.api.neutron_errors import OVERLOADED, TOO_MANY, Refused


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one server process.

    Shape: *body_s* is for a client to send its body, *request_s* for us to answer, *wait_s* the
    longest ``?wait=``; *in_flight* are requests taken up and not answered, of all callers and of
    one (*per_caller*).
    """

    body_bytes: int = 1024 * 1024
    body_s: float = 10.0
    request_s: float = 30.0
    wait_s: float = 60.0
    in_flight: int = 512
    per_caller: int = 128


class Places:
    """Counts requests under way."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._of: Counter[Hashable] = Counter()
        self.taken = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold a place for a request of whoever.

        Raises: Refused (503) if none is left.
        """
        if self.taken >= self._limits.in_flight:
            raise Refused(OVERLOADED)
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1

    @contextmanager
    def one_of(self, caller: Hashable) -> Iterator[None]:
        """Hold one of the places of *caller*.

        Raises: Refused (429) if it has as many as it may.
        """
        if self._of[caller] >= self._limits.per_caller:
            raise Refused(TOO_MANY)
        self._of[caller] += 1
        try:
            yield
        finally:
            self._of[caller] -= 1
            if not self._of[caller]:
                del self._of[caller]
