"""How a chain of audit entries is spelled, and where it lies in the store.

A chain belongs to one server process, so that several servers never wait for each other. It is
the keys ``audit/<chain>/<seq>`` with *seq* from 0, 16 digits; a chain's name begins with the time
of its start. Each value is canonical JSON with ``previous``, the SHA-256 of the value before.

``genesis`` (seq 0) names the server, and under its *seal* the ends of the chains that it found.
``decision`` is an AuditEntry. ``checkpoint`` holds a *seal*: a signature over the seq and the
digest of the entry before it. A hash alone proves nothing against whoever can write the store: he
can count it anew; what a seal covers he cannot.
"""

import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from typing import Final, NamedTuple

from ctherd.errors import RemoteProtocolError
from ctherd.signing.canonical import Plain, read
from ctherd.signing.envelope import Verifier, from_plain
from ctherd.store.port import Pages, Stored

AUDIT: Final = "audit/"

GENESIS: Final = "genesis"
DECISION: Final = "decision"
CHECKPOINT: Final = "checkpoint"

SEALED_GENESIS: Final = "audit-genesis"
SEALED_CHECKPOINT: Final = "audit-checkpoint"

_DIGITS: Final = 16
_BEYOND_DIGITS: Final = "~"
_WHOLE: Final = re.compile("[0-9]+")


class Head(NamedTuple):
    """The end of a chain: the last entry's *seq*, and the *digest* of its value."""

    seq: int
    digest: str


NOTHING: Final = Head(-1, "")
"""The end of a chain that has no entry yet."""


class Genesis(NamedTuple):
    """The sealed start of *chain*; *cites* are the ends of the chains that it found."""

    chain: str
    server: str
    when: str
    cites: Mapping[str, Head]


class Checkpoint(NamedTuple):
    """A sealed point of *chain*: everything up to *head* is so; *closed*: and nothing follows."""

    chain: str
    head: Head
    when: str
    closed: bool


def key_of(chain: str, seq: int) -> str:
    """Return the key of an entry."""
    return f"{AUDIT}{chain}/{seq:0{_DIGITS}}"


def chain_of(key: str) -> str:
    """Return the name of the chain that *key* is of, whatever it is called."""
    return key.removeprefix(AUDIT).rpartition("/")[0]


def seq_of(key: str) -> int:
    """Return the place of *key* in its chain; -1 if it has none, which no entry says of itself."""
    digits = key.rpartition("/")[2]
    return int(digits) if len(digits) == _DIGITS and _WHOLE.fullmatch(digits) else -1


def digest_of(value: bytes) -> str:
    """Return what the next entry says of *value*."""
    return hashlib.sha256(value).hexdigest()


def read_entry(value: bytes) -> Plain:
    """Return the entry that *value* spells.

    Raises: RemoteProtocolError.
    """
    try:
        return read(value.decode("ascii"))
    except UnicodeDecodeError as error:
        raise RemoteProtocolError("an audit entry is not ASCII") from error


def open_genesis(verifier: Verifier, entry: Plain) -> Genesis:
    """Return what *entry* states under its seal.

    Raises: SignatureRefused; RemoteProtocolError if it is no genesis.
    """
    sealed = _opened(verifier, entry, SEALED_GENESIS)
    try:
        cites = {str(chain): Head(*head) for chain, head in sealed["cites"].items()}
        return Genesis(sealed["chain"], sealed["server"], sealed["when"], cites)
    except (KeyError, TypeError, AttributeError) as error:
        raise RemoteProtocolError(f"this is not the start of a chain: {error!r}") from error


def open_checkpoint(verifier: Verifier, entry: Plain) -> Checkpoint:
    """Return what *entry* states under its seal.

    Raises: SignatureRefused; RemoteProtocolError if it is no checkpoint.
    """
    sealed = _opened(verifier, entry, SEALED_CHECKPOINT)
    try:
        head = Head(sealed["seq"], sealed["digest"])
        return Checkpoint(sealed["chain"], head, sealed["when"], sealed["closed"])
    except KeyError as error:
        raise RemoteProtocolError(f"this is not a checkpoint: {error!r}") from error


def _opened(verifier: Verifier, entry: Plain, kind: str) -> Plain:
    return verifier.open(from_plain(entry.get("seal")), kind)


async def firsts(store: Pages) -> AsyncIterator[Stored]:
    """Yield the first key of every chain, oldest chain first.

    Shape: one small page of the store for each chain, however long the chains are.
    Raises: Unavailable.
    """
    after = ""
    while found := await store.page(AUDIT, after=after, limit=1):
        yield found[0]
        after = f"{AUDIT}{chain_of(found[0].key)}/{_BEYOND_DIGITS}"


async def last(store: Pages, chain: str) -> Stored | None:
    """Return the last key of *chain*.

    Raises: Unavailable.
    """
    found = await store.page(f"{AUDIT}{chain}/", limit=1, newest_first=True)
    return found[0] if found else None
