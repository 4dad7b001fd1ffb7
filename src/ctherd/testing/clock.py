"""Time that only moves when a test says so."""


class ManualClock:
    """A clock (ports.Clock) that stands still."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self._now_s = now_s

    def now_s(self) -> float:
        """Return monotonic seconds."""
        return self._now_s

    def advance(self, by_s: float) -> None:
        """Let time pass.

        Raises: ValueError if it should run backwards.
        """
        if by_s < 0:
            raise ValueError("monotonic time never runs backwards")
        self._now_s += by_s
