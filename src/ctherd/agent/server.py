"""A server as the source of documents: what is believed of it is made true here, and reported.

Goals, and the tension between them: what the server says must be true at once; what it does not
say, or what somebody else says in its name, must change nothing. So only a signed tombstone takes a
document away. One that a manifest omits is kept and reported, and so is what the journal remembers
and no document explains; this host's operator gives such things up with `ctherd confirm`.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ctherd.agent.backoff import Backoff
from ctherd.agent.belief import Belief
from ctherd.agent.fare import Fares, now
from ctherd.agent.follow import Follower, Message
from ctherd.agent.reporter import Reporter
from ctherd.agent.server_client import ServerClient
from ctherd.agent.source import Enforcer
from ctherd.errors import CtherdError, InvalidDeclaration, NotFound
from ctherd.model.document import Document, NetnsName
from ctherd.reconcile.reconciler import Report
from ctherd.service.host_answers import Answer
from ctherd.signing.statements import DocumentId, HostDocument, Manifest, Tombstone

_log: Final = logging.getLogger("ctherd.agent")

_LONGEST_NAME: Final = 512

_OMITTED: Final = "its server omits it and signed no removal; `ctherd confirm` gives it up"
_UNEXPLAINED: Final = "it was made before, and no document explains it; `ctherd confirm` removes it"


class ServerSource:
    """Tells an agent what its server declares.

    Shape: *facts* is what the server should know of this agent, as plain data; *reconnect* and
    *retry* space the attempts of stream and reports.
    """

    def __init__(
        self,
        client: ServerClient,
        belief: Belief,
        facts: Mapping[str, Any],
        *,
        reconnect: Backoff,
        retry: Backoff,
    ) -> None:
        self._client = client
        self._belief = belief
        self._facts = facts
        self._fares = Fares()
        self.in_sync = False
        self._unexplained: dict[NetnsName, Document] = {}
        self._leaving: dict[DocumentId, Tombstone] = {}
        self._reporter = Reporter(client.report, self._about_us, retry)
        self._follower = Follower(client, self, reconnect)

    def doubts(self) -> Mapping[str, int]:
        """Return how many documents are refused, and kept though the server omits them."""
        kept = len(self._belief.missing) + len(self._unexplained)
        return {"refused": len(self._belief.refused), "kept": kept}

    # -- the agent asks --------------------------------------------------------------------------

    def begin(self, agent: Enforcer) -> None:
        """Begin with what was believed last, and keep what nothing explains."""
        self._agent = agent
        known = list(self._belief.statements.documents())
        self._unexplained = {each.netns: each for each in agent.service.managed_documents()}
        for document in known:
            self._explain(document.router, document.netns, wanted=True)
        for tombstone in self._belief.statements.tombstones():
            self._explain(tombstone.router, tombstone.netns, wanted=False)
        agent.accept(self._wanted(), complete=self._belief.position is not None)
        _log.info("%d routers are known of the server from before", len(known))

    async def run(self) -> None:
        """Follow the server and report to it, until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follower.run())
                tasks.create_task(self._reporter.run())
        finally:
            await self._client.close()

    def reload(self) -> None:
        """Read the operator's file of keys again."""
        try:
            self._belief.reload()
        except CtherdError as error:
            _log.error("the keys stay as they were: %s", error)

    def reconciled(self, names: Sequence[NetnsName]) -> None:
        """Report how these netns fare."""
        for netns in names:
            document = self._belief.statements.in_netns(netns)
            if document is not None:
                self._tell(document)
        chosen = set(names)
        for each in [each for each in self._leaving.values() if each.netns in chosen]:
            self._tell_if_gone(each)

    def repaired(self, report: Report, seconds: float) -> None:
        """Report a repair."""
        plan = report.plan
        words = (
            [*(f"{each.verb} {each.key}" for each in plan.changes), *plan.repairs] if plan else ()
        )
        self._reporter.happened(
            {
                "what": "repaired",
                "router": report.router,
                "netns": report.netns,
                "when": now(),
                "ms": round(seconds * 1000, 1),
                "words": ", ".join(words),
            }
        )

    def answer(self, request: dict[str, Any]) -> Answer:
        """Confirm that what the server does not list may go; nothing can be declared here.

        Raises: InvalidDeclaration, NotFound.
        """
        match request.get("operation"):
            case "plan" | "apply":
                raise InvalidDeclaration(
                    "the running agent follows a server, and no file",
                    cure="declare it there: `ctherd apply --server URL`",
                )
            case "confirm":
                return self._confirm()
        raise NotFound(f"the agent knows no operation {request.get('operation')!r}")

    def close(self) -> None:
        """Let go of what is on disk; connections end with ``run``."""
        self._belief.close()

    # -- the server speaks -----------------------------------------------------------------------

    def resume_from(self) -> Mapping[str, str]:
        """Return what to ask the server for."""
        return self._belief.resume_from()

    def lost(self) -> None:
        """What is true here stays true."""
        self.in_sync = False

    def hear(self, messages: Sequence[Message]) -> None:
        """Take note of *messages*, and make true what is believed of them.

        Raises: JournalError.
        """
        for message in messages:
            match message.get("type"):
                case "document":
                    self._hear_document(message)
                case "keys":
                    self._belief.hear_keys(message)
                    # Nobody may retire a key before he knows that its successor is known here.
                    self._reporter.say()
                case "in-sync":
                    self._make_true()
                    self._hear_in_sync(message)
        self._make_true()

    def _hear_document(self, message: Message) -> None:
        name = _hinted_name(message.get("document"))
        if self._belief.hear_document(name, message):
            self._fares.forget(name)
            known = self._belief.statements.statement(name)
            if isinstance(known, HostDocument):
                self._tell(known)
        elif name in self._belief.refused:
            self._tell_refused(name)

    def _hear_in_sync(self, message: Message) -> None:
        is_first = self._belief.position is None
        manifest = self._belief.hear_manifest(message)
        if manifest is not None:
            self.in_sync = True
            self._accept(self._wanted(), complete=True)
            if is_first:
                # What was kept, because nobody knew better, may be removed from now on.
                self._agent.look_everywhere()
            _log.info(
                "in sync with the server at revision %d: %d documents",
                manifest.revision,
                len(manifest.documents),
            )
            self._tell_everything(manifest)
        self._reporter.connected()

    # -- making it true --------------------------------------------------------------------------

    def _make_true(self) -> None:
        documents: list[Document] = []
        tombstones: list[Tombstone] = []
        for statement, _, request in self._belief.keep():
            wanted = isinstance(statement, HostDocument)
            self._explain(statement.router, statement.netns, wanted=wanted)
            _log.info("%s: %s", _in_words(statement), request or "nobody says who asked for it")
            if isinstance(statement, Tombstone):
                tombstones.append(statement)
            else:
                self._leaving.pop(statement.id, None)
                documents.append(statement.document)
        if documents:
            self._accept(documents, complete=False)
        for tombstone in tombstones:
            self._leave(tombstone)

    def _accept(self, documents: Sequence[Document], *, complete: bool) -> None:
        touched = self._agent.accept(documents, complete=complete)
        self.reconciled([each.netns for each in documents if each.netns not in touched])

    def _leave(self, tombstone: Tombstone) -> None:
        self._fares.forget(tombstone.id)
        self._leaving[tombstone.id] = tombstone
        successor = self._belief.statements.in_netns(tombstone.netns)
        if successor is None and tombstone.netns not in self._unexplained:
            self._agent.withdraw([tombstone.netns])
        self._tell_if_gone(tombstone)

    def _explain(self, router: str, netns: NetnsName, *, wanted: bool) -> None:
        """Keep a netns no longer only because nobody knows whose it is."""
        unexplained = self._unexplained.get(netns)
        if unexplained is not None and (wanted or unexplained.router == router):
            del self._unexplained[netns]

    def _wanted(self) -> list[Document]:
        documents = [each.document for each in self._belief.statements.documents()]
        return [*documents, *self._unexplained.values()]

    def _confirm(self) -> Answer:
        if not self.in_sync:
            raise InvalidDeclaration(
                "not in sync with the server: nobody knows what it does not list",
                cure="wait until the log says that the agent is in sync",
            )
        given_up = [*self._belief.missing, *self._unexplained]
        self._belief.give_up(self._belief.missing)
        self._unexplained.clear()
        self._accept(self._wanted(), complete=True)
        self._reporter.connected()
        return {"message": f"given up: {', '.join(given_up)}" if given_up else "nothing is held"}

    # -- reporting -------------------------------------------------------------------------------

    def _about_us(self) -> dict[str, Any]:
        belief = self._belief
        omitted = [belief.statements.statement(each) for each in belief.missing]
        kept = [_kept(each.router, each.netns, _OMITTED) for each in omitted if each is not None]
        kept += [_kept(e.router, e.netns, _UNEXPLAINED) for e in self._unexplained.values()]
        return {
            **self._facts,
            "keys": belief.keys,
            "in_sync": self.in_sync,
            "trouble": belief.trouble,
            "kept": kept,
        }

    def _tell_everything(self, manifest: Manifest) -> None:
        self._fares = Fares(self._fares)
        for document in self._belief.statements.documents():
            self._tell(document)
        for tombstone in self._belief.statements.tombstones():
            if tombstone.id in manifest.documents:
                self._leave(tombstone)
        for name in self._belief.refused:
            self._tell_refused(name)

    def _tell(self, document: HostDocument) -> None:
        service = self._agent.service
        entry = service.reconciler.entries.get(document.document.netns)
        if entry is None or entry.document != document.document:
            return  # It is wanted in a moment; then there is something to tell.
        evidence = service.evidence_of(entry, thoroughly=False)
        words = self._fares.of(document, service.statuses(entry), evidence)
        if words is not None:
            self._reporter.fares(document.id, words)

    def _tell_if_gone(self, tombstone: Tombstone) -> None:
        """Acknowledge a tombstone when nothing of its router is left in the kernel."""
        entry = self._agent.service.reconciler.entries.get(tombstone.netns)
        if entry is not None and (entry.document is None or entry.router == tombstone.router):
            return
        self._leaving.pop(tombstone.id, None)
        version = {"version": list(tombstone.version)}
        self._reporter.withdrawn(tombstone.id, _named(tombstone.id) | version)

    def _tell_refused(self, name: DocumentId) -> None:
        if "/" in name:
            reason = self._belief.refused[name]
            self._reporter.refused(name, _named(name) | {"reason": reason})


def _hinted_name(given: object) -> DocumentId:
    """Return what the server calls a document, "" if that is nothing to put into a log line."""
    if isinstance(given, str) and len(given) <= _LONGEST_NAME and given.isprintable():
        return DocumentId(given)
    return DocumentId("")


def _in_words(statement: HostDocument | Tombstone) -> str:
    kind = "document" if isinstance(statement, HostDocument) else "tombstone"
    return f"{statement.id}: {kind} {statement.version.epoch}.{statement.version.serial} came"


def _named(document: DocumentId) -> dict[str, Any]:
    router, _, netns = document.partition("/")
    return {"router": router, "netns": netns}


def _kept(router: str, netns: str, reason: str) -> dict[str, Any]:
    return {"router": router, "netns": netns, "reason": reason}
