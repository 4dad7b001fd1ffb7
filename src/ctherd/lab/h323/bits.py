"""A row of bits, written and read from the most significant on, as packed encodings need it.

Source: ITU-T X.691, aligned variant; section numbers are those of the edition 07/2002.
"""

from ctherd.errors import RemoteProtocolError


class Writer:
    """Bits that are written, as a text of 0 and 1, most significant first."""

    def __init__(self) -> None:
        self._bits = ""

    def bits(self, value: int, width: int) -> None:
        """Append *value* in *width* bits."""
        self._bits += f"{value:0{width}b}" if width else ""

    def octets(self, octets: bytes) -> None:
        """Append *octets* at the next whole octet."""
        self.align()
        for octet in octets:
            self.bits(octet, 8)

    def align(self) -> None:
        """Fill up the octet that was begun."""
        self._bits += "0" * (-len(self._bits) % 8)

    def done(self) -> bytes:
        """Return what was written, at least one octet (§10.1.3)."""
        self.align()
        whole = self._bits or "0" * 8
        return int(whole, 2).to_bytes(len(whole) // 8, "big")


class Reader:
    """Bits that are read.

    Raises, in every method: RemoteProtocolError when there are not enough.
    """

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._at = 0

    def bits(self, width: int) -> int:
        """Return the next *width* bits."""
        end = self._at + width
        if end > len(self._octets) * 8:
            raise RemoteProtocolError("the message is too short")
        whole = int.from_bytes(self._octets[: -(-end // 8)], "big")
        self._at = end
        return (whole >> (-end % 8)) & ((1 << width) - 1)

    def octets(self, count: int) -> bytes:
        """Return *count* octets from the next whole one on."""
        self.align()
        return bytes(self.bits(8) for _ in range(count))

    def align(self) -> None:
        """Skip what is left of the octet that was begun."""
        self._at += -self._at % 8
