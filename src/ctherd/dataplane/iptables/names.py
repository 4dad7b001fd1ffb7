"""What our chain is called and how our rules are marked: random both, and recorded before use.

A tag of the journal is a UUID, which every rule of ours bears as its comment, and after a dot the
random hex that our chain is named by. One from before there were chains is a UUID alone; its first
digits then name the chain, which are as random. Nothing here comes from the id of a router.
"""

import re
from typing import Final, NamedTuple

from ctherd.errors import LocalProtocolError
from ctherd.model.observation import Tag

_PREFIX: Final = "ctherd-"
_DRAWN_DIGITS: Final = 20  # with the prefix 27 characters; iptables allows 28

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TAG: Final = re.compile(rf"({_UUID})(?:\.([0-9a-f]{{{_DRAWN_DIGITS}}}))?")
_CHAIN: Final = re.compile(rf"{_PREFIX}([0-9a-f]{{{_DRAWN_DIGITS}}})")
_COMMENT: Final = re.compile(_UUID)


class Names(NamedTuple):
    """The name of our chain, and the comment that our rules and jumps bear."""

    chain: str
    comment: str


def names_of(tag: Tag) -> Names:
    """Return the names that *tag* stands for.

    Raises: LocalProtocolError for what no agent drew: it must never get into a ruleset.
    """
    match = _TAG.fullmatch(tag)
    if match is None:
        raise LocalProtocolError(f"{tag!r} is no tag that could mark rules")
    comment, drawn = match.groups()
    return Names(_PREFIX + (drawn or comment.replace("-", "")[:_DRAWN_DIGITS]), comment)


def chain_of(tag: Tag) -> str:
    """Return the name of our chain; "" for a tag that could mark no rules."""
    return names_of(tag).chain if _TAG.fullmatch(tag) else ""


def looks_like_ours(chain: str) -> bool:
    """Tell whether some ctherd may have made *chain*."""
    return _CHAIN.fullmatch(chain) is not None


def is_mark(comment: str) -> bool:
    """Tell whether *comment* could be the mark of some ctherd."""
    return _COMMENT.fullmatch(comment) is not None


def tag_of(names: Names) -> Tag:
    """Return the tag that stands for *names*."""
    alone = Tag(names.comment)
    if names_of(alone) == names:
        return alone
    return Tag(f"{names.comment}.{names.chain.removeprefix(_PREFIX)}")
