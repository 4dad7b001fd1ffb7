"""The trail: this process's own chain, and what the next commit must write to lengthen it.

It does no I/O but for the log: it says what to write, and is told what was written. So whoever
commits may drop an entry, ask for the same again, and never break the chain.
"""

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from ctherd.authz.audit.chain import (
    CHECKPOINT,
    DECISION,
    GENESIS,
    NOTHING,
    SEALED_CHECKPOINT,
    SEALED_GENESIS,
    Head,
    chain_of,
    digest_of,
    firsts,
    key_of,
    last,
    open_genesis,
    read_entry,
    seq_of,
)
from ctherd.authz.audit.entry import AuditEntry
from ctherd.errors import CtherdError
from ctherd.signing.canonical import Plain, spell
from ctherd.signing.envelope import Signer, Verifier
from ctherd.store.port import ABSENT, Expect, Put, Store

_log = logging.getLogger(__name__)
_lines = logging.getLogger("ctherd.audit")

SEAL_EVERY: Final = 64
"""How many decisions may follow a checkpoint before the next one."""


@dataclass(frozen=True, slots=True)
class Extension:
    """What one commit writes to lengthen a chain from one head to another."""

    chain: str
    start: Head
    end: Head
    writes: tuple[Put, ...]
    unsealed: int
    closed: bool

    @property
    def expects(self) -> tuple[Expect, ...]:
        """What must hold: that nobody else wrote where this chain goes on."""
        return tuple(Expect(each.key, ABSENT) for each in self.writes[:1])


class Trail:
    """One chain, as far as it is known to be stored.

    Shape: *cites* are the ends of chains that its genesis vouches for.
    """

    def __init__(
        self,
        server: str,
        signer: Signer,
        cites: Mapping[str, Head],
        *,
        seal_every: int = SEAL_EVERY,
        now: Callable[[], str] | None = None,
    ) -> None:
        self._server = server
        self._signer = signer
        self._cites = dict(cites)
        self._seal_every = seal_every
        self._now = now or rfc3339_now
        self._when = ""
        self.unsealed = 0
        self.chain = ""
        self.head = NOTHING
        self._name_chain()

    def extend(self, entries: Sequence[AuditEntry]) -> Extension:
        """Return how *entries* follow what is stored; a genesis or a checkpoint if one is due."""
        page = self._page()
        for entry in entries:
            page.add(DECISION, entry.as_plain())
        unsealed = self.unsealed + len(entries)
        if unsealed >= self._seal_every:
            page.seal(self._signer, closed=False)
            unsealed = 0
        return page.extension(unsealed, closed=False)

    def seal(self, *, closed: bool) -> Extension:
        """Return how a checkpoint follows what is stored; *closed* promises that nothing will."""
        page = self._page()
        page.seal(self._signer, closed=closed)
        return page.extension(0, closed=closed)

    def advance(self, extension: Extension) -> None:
        """Take note that *extension* was stored, and copy it to the log."""
        assert (extension.chain, extension.start) == (self.chain, self.head)
        for write in extension.writes:
            _lines.info("%s", write.value.decode("ascii"))
        self.head = extension.end
        self.unsealed = extension.unsealed
        if extension.closed:
            self.leave()

    def sign_with(self, signer: Signer) -> None:
        """Seal with another key from now on; what was sealed before stays as it is."""
        self._signer = signer

    def leave(self) -> None:
        """Go on in a chain of a new name, which vouches for this one as far as it was stored."""
        if self.head != NOTHING:
            self._cites = {self.chain: self.head}
        self.head = NOTHING
        self.unsealed = 0
        self._name_chain()

    def _name_chain(self) -> None:
        # By time, so that the order of keys is that of starts; and by chance, so that nobody else
        # has the same.
        stamp = "".join(each for each in self._now() if each not in "-:.")
        self.chain = f"{stamp}-{secrets.token_hex(8)}"

    def _page(self) -> "_Page":
        # A clock that was set back must not make an entry older than the one before.
        self._when = max(self._when, self._now())
        page = _Page(self.chain, self.head, self._when)
        if self.head == NOTHING:
            page.begin(self._signer, self._server, self._cites)
        return page


class _Page:
    """Entries under way to the store, each linked to the one before."""

    def __init__(self, chain: str, start: Head, when: str) -> None:
        self._chain = chain
        self._start = start
        self._end = start
        self._when = when
        self._writes: list[Put] = []

    def begin(self, signer: Signer, server: str, cites: Mapping[str, Head]) -> None:
        stated: Plain = {
            "chain": self._chain,
            "server": server,
            "when": self._when,
            "cites": {chain: list(head) for chain, head in cites.items()},
        }
        envelope = signer.sign({"kind": SEALED_GENESIS, **stated})
        self.add(GENESIS, {"server": server, "seal": envelope.as_plain()})

    def seal(self, signer: Signer, *, closed: bool) -> None:
        stated: Plain = {
            "chain": self._chain,
            "seq": self._end.seq,
            "digest": self._end.digest,
            "when": self._when,
            "closed": closed,
        }
        envelope = signer.sign({"kind": SEALED_CHECKPOINT, **stated})
        self.add(CHECKPOINT, {"closed": closed, "seal": envelope.as_plain()})

    def add(self, kind: str, content: Plain) -> None:
        seq = self._end.seq + 1
        head = {
            "kind": kind,
            "chain": self._chain,
            "seq": seq,
            "previous": self._end.digest,
            "when": self._when,
        }
        value = spell({**head, **content}).encode("ascii")
        self._writes.append(Put(key_of(self._chain, seq), value))
        self._end = Head(seq, digest_of(value))

    def extension(self, unsealed: int, *, closed: bool) -> Extension:
        writes = tuple(self._writes)
        return Extension(self._chain, self._start, self._end, writes, unsealed, closed)


async def begin_trail(
    store: Store,
    server: str,
    signer: Signer,
    *,
    verifier: Verifier | None = None,
    seal_every: int = SEAL_EVERY,
) -> Trail:
    """Return the trail of this process, which vouches for the chains that *store* has.

    Shape: *verifier* trusts every key that ever began a chain, retired ones too; by default the
    signer's alone.
    Raises: Unavailable.
    """
    verifier = verifier or Verifier({signer.key: signer.public})
    return Trail(server, signer, await _uncited(store, verifier), seal_every=seal_every)


async def _uncited(store: Store, verifier: Verifier) -> dict[str, Head]:
    """Return the ends of the chains that no later chain vouches for as they are now."""
    heads: dict[str, Head] = {}
    cited: dict[str, Head] = {}
    async for first in firsts(store):
        chain = chain_of(first.key)
        if end := await last(store, chain):
            heads[chain] = Head(seq_of(end.key), digest_of(end.value))
        try:
            cited.update(open_genesis(verifier, read_entry(first.value)).cites)
        except CtherdError as error:
            # Whoever broke it is found by `ctherd audit verify`; a start does not depend on it.
            _log.warning("the start of audit chain %s cannot be believed: %s", chain, error)
    return {chain: head for chain, head in heads.items() if cited.get(chain) != head}


def rfc3339_now() -> str:
    """Return the time, UTC, to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
