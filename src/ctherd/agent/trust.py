"""Whose signatures this host believes: the keys that its operator pinned, and what followed them.

The operator's file is the root. Sets that the server signed later count as long as the file stays
the one that they followed; another file begins anew.
"""

import hashlib
import logging
from pathlib import Path
from typing import Final

from ctherd.agent.document_cache import DocumentCache
from ctherd.signing.canonical import spell
from ctherd.signing.envelope import Envelope, Verifier
from ctherd.signing.key_set import KeySet, from_plain, open_keys, read_pinned

_log: Final = logging.getLogger("ctherd.agent")

PINNED_FILE: Final = "server-keys.json"
_FACT: Final = "keys"


class Trust:
    """The key set that counts now.

    Raises: ConfigurationError on construction and from reload, if there is no file of keys.
    """

    def __init__(self, pinned: Path, cache: DocumentCache) -> None:
        self._pinned = pinned
        self._cache = cache
        self._root = ""
        self.reload()

    @property
    def verifier(self) -> Verifier:
        """Who trusts these keys."""
        return self.keys.verifier()

    def reload(self) -> bool:
        """Read the operator's file again; return true if it is another one."""
        pinned = read_pinned(self._pinned)
        root = hashlib.sha256(spell(pinned.as_plain()).encode()).hexdigest()
        if root == self._root:
            return False
        self._root = root
        self.keys: KeySet = self._learned() or pinned
        return True

    def learn(self, envelope: Envelope) -> bool:
        """Take over a key set that a trusted key signed; return true if it is a newer one.

        Raises: SignatureRefused, RemoteProtocolError, JournalError.
        """
        keys = open_keys(self.verifier, envelope)
        if keys.version <= self.keys.version:
            return False
        self._cache.put_fact(_FACT, {"root": self._root, "set": keys.as_plain()})
        _log.info("server keys, version %d: %s", keys.version, ", ".join(keys.keys))
        self.keys = keys
        return True

    def _learned(self) -> KeySet | None:
        fact = self._cache.fact(_FACT)
        if fact is None or fact["root"] != self._root:
            return None
        return from_plain(fact["set"])
