"""Prefixes of keys, and the ranges that they are in the order of keys (that of code points)."""

import sys
from collections.abc import Iterable, Sequence
from typing import Final

_LAST: Final = sys.maxunicode
# What UTF-8 cannot say between U+D7FF and U+E000: no key has it.
_SURROGATES: Final = range(0xD800, 0xE000)


def beyond(prefix: str) -> str:
    """Return the first string after all that start with *prefix*; "" if there is none."""
    stem = prefix.rstrip(chr(_LAST))
    if not stem:
        return ""
    following = ord(stem[-1]) + 1
    return stem[:-1] + chr(_SURROGATES.stop if following in _SURROGATES else following)


def disjoint(prefixes: Iterable[str]) -> Sequence[str]:
    """Return in order those of *prefixes* that no other one covers; of none at all, all keys'."""
    kept: list[str] = []
    for prefix in sorted(prefixes):
        if not kept or not prefix.startswith(kept[-1]):
            kept.append(prefix)
    return kept or [""]
