"""Ranges over concatenated keys, as the kernel's pipapo sets understand them.

What the kernel says of an overlap depends on the order of insertion: a new range is refused only
if its first or its last key lies in an old one. Deletion and look-up compare the first key only, so
that deleting a range that was never there removes the oldest one that covers its start.
"""

from ctherd.testing.nf_tables.state import Element, Set


def covers(owner: Set, element: Element, key: bytes) -> bool:
    """Tell whether *key* lies in the range of *element*, in every field."""
    last = element.key if element.end is None else element.end
    return all(
        low <= at <= high
        for low, at, high in zip(
            _split(owner, element.key), _split(owner, key), _split(owner, last), strict=True
        )
    )


def find(owner: Set, key: bytes) -> Element | None:
    """Return the oldest element whose range covers *key*."""
    return next((e for e in owner.elements.values() if covers(owner, e, key)), None)


def backwards(owner: Set, element: Element) -> bool:
    """Tell whether some field's range ends before it begins."""
    last = element.key if element.end is None else element.end
    pairs = zip(_split(owner, element.key), _split(owner, last), strict=True)
    return any(low > high for low, high in pairs)


def same_range(one: Element, other: Element) -> bool:
    """Tell whether two ranges are equal, however a single key is written."""
    return (one.key, one.end or one.key) == (other.key, other.end or other.key)


def _split(owner: Set, key: bytes) -> list[bytes]:
    parts, offset = [], 0
    for length in owner.fields or (owner.key_length,):
        parts.append(key[offset : offset + length])
        offset += length + -length % 4
    return parts
