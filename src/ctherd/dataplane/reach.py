"""Which chains packets reach from another one."""

from collections.abc import Callable, Iterable


def reachable(start: str, jumps_of: Callable[[str], Iterable[str]]) -> set[str]:
    """Return *start* and every chain that jumps lead to from it."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        chain = waiting.pop()
        if chain not in found:
            found.add(chain)
            waiting.extend(jumps_of(chain))
    return found
