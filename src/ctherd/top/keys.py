"""What a terminal sends when keys are pressed, as names of keys. Pure."""

import re
from typing import Final

_SEQUENCE: Final = re.compile(rb"\x1b[\[O][0-9;]*[A-Za-z~]|[^\x1b]|\x1b(?![\[O])")
_INCOMPLETE: Final = re.compile(rb"\x1b([\[O][0-9;]*)?$")

_NAMES: Final = {
    b"\x1b[A": "up",
    b"\x1bOA": "up",
    b"\x1b[B": "down",
    b"\x1bOB": "down",
    b"\x1b[5~": "page up",
    b"\x1b[6~": "page down",
    b"\x1b[H": "home",
    b"\x1b[1~": "home",
    b"\x1bOH": "home",
    b"\x1b[F": "end",
    b"\x1b[4~": "end",
    b"\x1bOF": "end",
    b"\x1b": "escape",
    b"\x0c": "redraw",
}


class KeyReader:
    """Puts bytes together to keys; a sequence may come in pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def read(self, received: bytes) -> list[str]:
        """Return the keys that are complete now; what nobody knows is left out."""
        text = self._rest + received
        cut = _INCOMPLETE.search(text)
        # ESC alone may be a key, or the beginning of one that is still on its way.
        self._rest = text[cut.start() :] if cut and text != b"\x1b" else b""
        whole = text[: len(text) - len(self._rest)]
        return [name for each in _SEQUENCE.findall(whole) if (name := _name(each))]


def _name(sequence: bytes) -> str:
    if sequence in _NAMES:
        return _NAMES[sequence]
    return sequence.decode("ascii") if sequence.isalnum() or sequence == b"?" else ""
