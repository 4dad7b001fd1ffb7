"""Draws the tag of a netns: random, known to nobody before it is recorded, derived from nothing."""

from secrets import token_hex
from typing import Final
from uuid import uuid4

from ctherd.model.observation import Tag

_PLACE_BYTES: Final = 10


def drawn_tag() -> Tag:
    """Return a fresh tag: a UUID to mark things with, a dot, and hex to name our place by."""
    return Tag(f"{uuid4()}.{token_hex(_PLACE_BYTES)}")
