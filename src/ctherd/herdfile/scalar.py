"""What a YAML scalar means here: only what every YAML reader understands alike.

``021`` is 17, 21 or a text, ``21:00`` is 1260 or a text, ``no`` is false or a text, depending on
who reads. A port or a name must not depend on that, so such scalars are refused, not guessed.
"""

import re
from functools import lru_cache
from typing import Final

from ctherd.herdfile.fault import quote, shorten

Scalar = str | int | bool | None


class Unclear(ValueError):
    """A scalar without one obvious meaning; says *what* is wrong and what would *cure* it."""

    def __init__(self, what: str, cure: str) -> None:
        super().__init__(what)
        self.what = what
        self.cure = cure


_CONSTANTS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}

# At most 18 digits: no field needs more, and every JSON reader can hold them.
_DECIMAL: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")

# Source: yaml.org/type (YAML 1.1) and the core schema of YAML 1.2, chapter 10.3.
_UNCLEAR: Final = re.compile(
    r"""
      (?: yes|Yes|YES | no|No|NO | on|On|ON | off|Off|OFF )            # a truth value in 1.1
    | [-+]? 0 (?: b[01_]+ | o[0-7]+ | x[0-9a-fA-F_]+ )                 # other bases
    | [-+]? [0-9] [0-9_]* (?: : [0-5]?[0-9] )+ (?: \.[0-9_]* )?        # base sixty in 1.1
    | [-+]? (?: [0-9] [0-9_]* (?: \.[0-9_]* )? | \.[0-9_]+ ) (?: [eE] [-+]?[0-9]+ )?
    | [-+]? \. (?: inf|Inf|INF ) | \. (?: nan|NaN|NAN )
    | [0-9]{4} - [0-9]{1,2} - [0-9]{1,2} (?: [Tt\x20\t] .* )?          # a date in 1.1
    | =
    """,
    re.VERBOSE,
)

_SURROGATE: Final = re.compile("[\ud800-\udfff]")

_CORE: Final = "tag:yaml.org,2002:"
_TYPES: Final[dict[str, type]] = {
    f"{_CORE}int": int,
    f"{_CORE}bool": bool,
    f"{_CORE}null": type(None),
}


def read_scalar(text: str, tag: str | None, *, plain: bool) -> Scalar:
    """Return what *text* means; *plain* is false for quoted and block scalars.

    Raises: Unclear.
    """
    if not text.isascii() and _SURROGATE.search(text):
        raise Unclear(f"{quote(text)} holds half a character", "write the character itself")
    if tag is None:
        return _resolve(text) if plain else text
    if tag in ("!", f"{_CORE}str"):
        return text
    if tag not in _TYPES:
        raise Unclear(f"the tag {quote(tag)} has no meaning here", "remove it")
    value = _resolve(text)
    if type(value) is not _TYPES[tag]:
        raise Unclear(f"{quote(text)} is not what its tag {quote(tag)} says", "remove the tag")
    return value


@lru_cache(maxsize=4096)
def _resolve(text: str) -> Scalar:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _DECIMAL.fullmatch(text):
        return int(text)
    if _UNCLEAR.fullmatch(text):
        raise Unclear(
            f"{shorten(text)} is neither a plain decimal number nor clearly a text",
            "write a number in decimal digits alone, a text in quotes",
        )
    return text
