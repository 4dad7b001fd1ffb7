"""What this host believes of its server, durably: statements, keys, and how far it was heard.

Nothing is enforced here. What is refused is remembered with its reason, and asked for again.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from ctherd.agent.admission import Admission, Shortfall, Statement, StatementRefused
from ctherd.agent.document_cache import DocumentCache, Kept, Position
from ctherd.agent.trust import Trust
from ctherd.errors import CtherdError
from ctherd.model.router import HostName
from ctherd.signing.envelope import from_plain
from ctherd.signing.statements import DocumentId, HostDocument, Manifest

_log: Final = logging.getLogger("ctherd.agent")

_MOST_REFUSED: Final = 1000
"""What is refused beyond is logged, and not remembered."""

Message = Mapping[str, Any]


class News(NamedTuple):
    """A statement that was not known before; *request* is the id of who caused it, by hearsay."""

    statement: Statement
    kept: Kept
    request: str


class Belief:
    """Believes what a trusted key signed for *host*.

    Shape: *position* None means that the server was never heard out; *missing* are documents that
    are believed, and that the last manifest omits; *trouble* is why nobody is believed now.
    """

    def __init__(self, host: HostName, trust: Trust, cache: DocumentCache) -> None:
        self._trust = trust
        self._cache = cache
        self._news: dict[DocumentId, News] = {}
        self.statements = Admission(host, trust.verifier)
        self.position = cache.position()
        self.missing: tuple[DocumentId, ...] = ()
        self.refused: dict[DocumentId, str] = {}
        self.trouble = ""
        # By epochs: an old one may be believed still, but only from before the next began.
        for kept in sorted(cache.statements(), key=lambda each: each.version):
            self._recall(kept)
        if self.position is not None:
            self.statements.epoch = max(self.statements.epoch, self.position.epoch)

    @property
    def keys(self) -> list[str]:
        """The ids of the keys that are trusted."""
        return sorted(self._trust.keys.keys)

    def reload(self) -> None:
        """Read the operator's file of keys again.

        Raises: ConfigurationError, JournalError.
        """
        if self._trust.reload():
            self.statements.verifier = self._trust.verifier

    def resume_from(self) -> dict[str, str]:
        """Return what to ask the server for: what is new, or everything after a refusal."""
        if self.position is None or self.refused or self._news:
            return {}
        return {"epoch": str(self.position.epoch), "since": str(self.position.revision)}

    def hear_document(self, name: DocumentId, message: Message) -> bool:
        """Believe the statement in *message* or refuse it; return true if that is settled now.

        Shape: *name* is what the server calls the document; it need not be true.
        """
        try:
            envelope = from_plain(message.get("envelope"))
            statement = self.statements.admit(envelope)
        except CtherdError as error:
            self.refuse(name, str(error))
            return False
        if statement is not None:
            name = statement.id
            kept = Kept(name, statement.version, envelope)
            self._news[name] = News(statement, kept, _request(message))
        return self.refused.pop(name, None) is not None

    def hear_keys(self, message: Message) -> None:
        """Trust other keys, if one that is trusted signed that."""
        try:
            if self._trust.learn(from_plain(message.get("envelope"))):
                self.statements.verifier = self._trust.verifier
        except CtherdError as error:
            self.trouble = f"the server's keys are not believed: {error}"
            _log.error("%s", self.trouble)

    def hear_manifest(self, message: Message) -> Manifest | None:
        """Compare what is believed with all that the server has for this host.

        Shape: None if the manifest is not believed; then nothing is in sync.
        Raises: JournalError.
        """
        try:
            manifest, shortfall = self._compared(message)
        except CtherdError as error:
            self.trouble = f"the server's manifest is not believed: {error}"
            _log.error("not in sync: %s", self.trouble)
            return None
        for each in shortfall.lacking:
            if each not in self.refused:
                version = ".".join(map(str, manifest.documents[each]))
                self.refuse(each, f"the manifest lists version {version}, which never came")
        for each in sorted(set(shortfall.missing) - set(self.missing)):
            _log.warning("%s is kept: the server omits it, and signed no removal", each)
        self.missing = shortfall.missing
        self.position = Position(manifest.epoch, manifest.revision)
        self.trouble = ""
        self._cache.keep((), self.position)
        return manifest

    def refuse(self, name: DocumentId, reason: str) -> None:
        """Remember why *name* is not believed."""
        _log.error("refused, what was true stays true: %s: %s", name or "?", reason)
        if name in self.refused or len(self.refused) < _MOST_REFUSED:
            self.refused[name] = reason

    def keep(self) -> list[News]:
        """Write down what is new, and return it: a start never goes back behind what was done.

        Raises: JournalError; it is all new still then.
        """
        news = list(self._news.values())
        if news:
            durably = not all(isinstance(each.statement, HostDocument) for each in news)
            self._cache.keep([each.kept for each in news], None, durably=durably)
            self._news.clear()
        return news

    def give_up(self, documents: Iterable[DocumentId]) -> None:
        """Believe these no longer, by the word of this host's operator.

        Raises: JournalError.
        """
        lowest = [Kept(each, self.statements.forget(each), None) for each in documents]
        self._cache.keep(lowest, None, durably=True)
        self.missing = tuple(each for each in self.missing if self.statements.statement(each))

    def close(self) -> None:
        """Let go of the cache."""
        self._cache.close()

    def _recall(self, kept: Kept) -> None:
        """Believe again what was believed, if its signature still counts."""
        self.statements.remember(kept.document, kept.version)
        if kept.envelope is None:
            return
        try:
            self.statements.admit(kept.envelope)
        except CtherdError as error:
            self.refuse(kept.document, str(error))

    def _compared(self, message: Message) -> tuple[Manifest, Shortfall]:
        manifest, shortfall = self.statements.compare(from_plain(message.get("manifest")))
        position = Position(manifest.epoch, manifest.revision)
        if self.position is not None and position < self.position:
            raise StatementRefused(
                f"it is of revision {position.revision}, and {self.position.revision} was heard",
                cure="a store goes back to a backup by `ctherd restore`, which begins a new epoch",
            )
        return manifest, shortfall


def _request(message: Message) -> str:
    """Return the request's id, "" if it is nothing to put into a log line."""
    given = message.get("request")
    return given[:64] if isinstance(given, str) and given.isprintable() else ""
