"""Verifying the audit: that every chain stands as its server wrote it.

An edit or a cut in the middle breaks a hash. Who counts the hashes anew is found by the next
checkpoint, whose seal he cannot make. A chain ends with a checkpoint that closes it, or as the
genesis of a later chain says. What is after the last of these seals is vouched for by nobody:
there, and only there, a cut or an edit leaves no trace in the store, and the copy in the log is
the one witness. So it is with the chain of a running server, and with that of one which was
killed until the next start.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from ctherd.authz.audit.chain import (
    AUDIT,
    CHECKPOINT,
    GENESIS,
    NOTHING,
    Head,
    chain_of,
    digest_of,
    firsts,
    open_checkpoint,
    open_genesis,
    read_entry,
    seq_of,
)
from ctherd.errors import CtherdError
from ctherd.signing.canonical import Plain
from ctherd.signing.envelope import Verifier
from ctherd.store.port import Pages, Stored

_PAGE: Final = 1000


class Fault(StrEnum):
    """What can be wrong with a chain; all but OPEN mean that somebody wrote who may not."""

    EDITED = "edited"
    CUT = "cut"
    FORGED = "forged"
    OPEN = "open"


class Finding(NamedTuple):
    """A fault of *chain*, at or before *seq*."""

    chain: str
    seq: int
    fault: Fault
    words: str


@dataclass(slots=True)
class Verdict:
    """What a whole verification found.

    Shape: *sealed* counts the entries that a signature covers.
    """

    chains: int = 0
    entries: int = 0
    sealed: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """True if nothing was edited, cut or forged, as far as signatures reach."""
        return all(each.fault is Fault.OPEN for each in self.findings)


async def verify(store: Pages, verifier: Verifier) -> Verdict:
    """Verify every chain; *verifier* trusts the keys of all servers that ever wrote one.

    Raises: Unavailable.
    """
    chains = [chain_of(first.key) async for first in firsts(store)]
    citations = await _citations(store, verifier)
    verdict = Verdict(chains=len(chains))
    for chain in chains:
        walk = _Walk(chain, verifier, citations.get(chain, {}))
        async for stored in _forward(store, chain):
            verdict.findings += walk.step(stored)
        verdict.findings += walk.end()
        verdict.entries += walk.entries
        verdict.sealed += walk.sealed
    for chain in citations.keys() - set(chains):
        seq = max(citations[chain])
        words = f"the chain is gone, with {seq + 1} entries or more that a later one vouches for"
        verdict.findings.append(Finding(chain, 0, Fault.CUT, words))
    return verdict


async def _citations(store: Pages, verifier: Verifier) -> dict[str, dict[int, str]]:
    """Return the digests that sealed geneses vouch for, by chain and seq."""
    found: dict[str, dict[int, str]] = {}
    async for first in firsts(store):
        try:
            genesis = open_genesis(verifier, read_entry(first.value))
        except CtherdError:
            continue  # The walk of that chain tells.
        for chain, head in genesis.cites.items():
            found.setdefault(chain, {})[head.seq] = head.digest
    return found


async def _forward(store: Pages, chain: str) -> AsyncIterator[Stored]:
    after = ""
    while found := await store.page(f"{AUDIT}{chain}/", after=after, limit=_PAGE):
        for each in found:
            yield each
        after = found[-1].key


class _Walk:
    """Follows one chain from its first entry to its last."""

    def __init__(self, chain: str, verifier: Verifier, cited: Mapping[int, str]) -> None:
        self._chain = chain
        self._verifier = verifier
        self._cited = cited
        self._head = NOTHING
        self._sealed_seq = -1
        self._closed = False
        self.entries = 0

    @property
    def sealed(self) -> int:
        """How many entries a signature covers."""
        return min(self._sealed_seq + 1, self.entries)

    def step(self, stored: Stored) -> Iterator[Finding]:
        """Yield what is wrong at *stored*, and go on from there as it stands."""
        self.entries += 1
        seq = seq_of(stored.key)
        expected = self._head.seq + 1
        if self._closed:
            yield self._found(seq, Fault.FORGED, "it follows a checkpoint that closed the chain")
        if seq != expected:
            yield self._found(seq, Fault.CUT, f"entries {expected} to {seq - 1} are gone")
        try:
            entry = read_entry(stored.value)
            yield from self._link(entry, seq, cut=seq != expected)
            yield from self._seal(entry, seq)
        except CtherdError as error:
            yield self._found(seq, Fault.EDITED, str(error))
        self._head = Head(seq, digest_of(stored.value))
        if self._cited.get(seq, self._head.digest) != self._head.digest:
            yield self._found(seq, Fault.EDITED, "a later chain vouches for another entry here")
        elif seq in self._cited:
            self._sealed_seq = max(self._sealed_seq, seq)

    def end(self) -> Iterator[Finding]:
        """Yield what is wrong after the last entry."""
        last = self._head.seq
        if self._cited and max(self._cited) > last:
            words = f"the tail is gone: a later chain vouches for entries up to {max(self._cited)}"
            yield self._found(last + 1, Fault.CUT, words)
        elif not self._closed and last not in self._cited:
            yield self._found(last, Fault.OPEN, self._open_end(last))

    def _open_end(self, last: int) -> str:
        if last > self._sealed_seq:
            return f"no signature covers entries {self._sealed_seq + 1} to {last}, nor the end"
        return f"nothing says that the chain ends with entry {last}"

    def _link(self, entry: Plain, seq: int, *, cut: bool) -> Iterator[Finding]:
        if (entry.get("chain"), entry.get("seq")) != (self._chain, seq):
            yield self._found(seq, Fault.EDITED, "it was written for another place")
        if not cut and entry.get("previous") != self._head.digest:
            words = f"it does not follow entry {seq - 1} as that stands: one of them was edited"
            yield self._found(seq, Fault.EDITED, words)

    def _seal(self, entry: Plain, seq: int) -> Iterator[Finding]:
        kind = entry.get("kind")
        if (seq == 0) != (kind == GENESIS):
            yield self._found(seq, Fault.FORGED, "a chain starts with its genesis and nowhere else")
        elif kind == GENESIS:
            yield from self._genesis(entry)
        elif kind == CHECKPOINT:
            yield from self._checkpoint(entry, seq)

    def _genesis(self, entry: Plain) -> Iterator[Finding]:
        try:
            genesis = open_genesis(self._verifier, entry)
        except CtherdError as error:
            yield self._found(0, Fault.FORGED, f"the genesis is not a server's: {error}")
            return
        stated = (genesis.chain, genesis.server, genesis.when)
        if stated != (self._chain, entry.get("server"), entry.get("when")):
            yield self._found(0, Fault.FORGED, "the genesis is that of another chain")
            return
        self._sealed_seq = 0

    def _checkpoint(self, entry: Plain, seq: int) -> Iterator[Finding]:
        try:
            checkpoint = open_checkpoint(self._verifier, entry)
        except CtherdError as error:
            yield self._found(seq, Fault.FORGED, f"the checkpoint is not a server's: {error}")
            return
        stated = (checkpoint.chain, checkpoint.when, checkpoint.closed)
        if stated != (self._chain, entry.get("when"), entry.get("closed")):
            yield self._found(seq, Fault.FORGED, "the checkpoint is that of another place")
        elif checkpoint.head != self._head:
            words = "the checkpoint vouches for other entries than those before it"
            yield self._found(seq, Fault.EDITED, words)
        else:
            self._sealed_seq = seq
            self._closed = checkpoint.closed

    def _found(self, seq: int, fault: Fault, words: str) -> Finding:
        return Finding(self._chain, seq, fault, words)
