"""One measured number beside its bound."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """What a figure measured.

    Shape: *bound* None is a number that is told for context; *at_least* turns the bound around.
    """

    name: str
    measured: float
    unit: str
    bound: float | None = None
    at_least: bool = False

    @property
    def ok(self) -> bool:
        """True unless the bound is missed."""
        if self.bound is None:
            return True
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound
