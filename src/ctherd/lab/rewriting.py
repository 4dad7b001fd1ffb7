"""Judge a payload that a helper rewrites: it must name whom the packet seems to come from."""

from collections.abc import Sequence

from ctherd.lab.case import ExchangeFailed


def as_heard(told: Sequence[str], heard: str) -> str:
    """Say what was *told*, if it is the address that was *heard*.

    Raises: ExchangeFailed if it is another one.
    """
    words = f"the payload names {', '.join(told)}, the packet came from {heard}"
    if list(told) != [heard]:
        raise ExchangeFailed(words)
    return words
