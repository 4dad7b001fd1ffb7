"""What a copy lacks, collected on the way: words for people, each once, and not without end."""

from dataclasses import dataclass, field
from typing import Final

_MOST: Final = 40
_LONGEST: Final = 300


@dataclass(slots=True)
class Missing:
    """The list. Whatever was copied less than truly is in it."""

    _words: dict[str, None] = field(default_factory=dict)
    _more: int = 0

    def add(self, words: str) -> None:
        """Put *words* on the list, unless they are there."""
        words = " ".join(words.split())[:_LONGEST]
        if words in self._words:
            return
        if len(self._words) >= _MOST:
            self._more += 1
            return
        self._words[words] = None

    def listed(self) -> tuple[str, ...]:
        """Return the list."""
        more = (f"and {self._more} more",) if self._more else ()
        return (*self._words, *more)
