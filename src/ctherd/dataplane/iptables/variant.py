"""The two programs that are both called iptables, and what they are named."""

from enum import StrEnum
from typing import Final

from ctherd.model.catalog import Family

TABLE: Final = "raw"
PREROUTING: Final = "PREROUTING"
BASES: Final = (PREROUTING, "OUTPUT")
"""The chains of the raw table that jump to ours."""

_PROGRAMS: Final = {Family.IPV4: "iptables", Family.IPV6: "ip6tables"}


class Variant(StrEnum):
    """Which rulesets of the kernel are meant: those of nf_tables, or the old ones."""

    NFT = "iptables-nft"
    LEGACY = "iptables-legacy"

    def program(self, family: Family, verb: str = "") -> str:
        """Return the program for *family*; *verb* is "save", "restore" or ""."""
        words = [_PROGRAMS[family], self.value.partition("-")[2], verb]
        return "-".join(filter(None, words))
