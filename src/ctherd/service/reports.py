"""Takes the reports of agents: statuses into the store, acknowledged tombstones out of it.

A host is heard on its own documents alone. What it reports is written only if it says anything new,
so that a thousand idle hosts write nothing.
"""

import json
import logging
from collections.abc import Callable
from typing import Final
from uuid import uuid4

from ctherd.authz.audit.entry import AuditEntry, Decision
from ctherd.model.router import HostName
from ctherd.service.asker import Asker
from ctherd.service.committer import Committer
from ctherd.service.documents import Documents, Filed
from ctherd.service.hosts import Hosts
from ctherd.service.publish import Publisher
from ctherd.service.refusals import RecordUnsound
from ctherd.service.report import Happening, Report, Unbelieved, Withdrawn
from ctherd.service.router_book import RouterBook
from ctherd.service.status_board import status_key
from ctherd.signing.canonical import Plain
from ctherd.signing.statements import TOMBSTONE
from ctherd.store.mirror import Mirror
from ctherd.store.port import ABSENT, Conflict, Delete, Put, Store, Write

_log = logging.getLogger(__name__)

_TRIES: Final = 8

OnHappening = Callable[[HostName, Happening], None]


class Reports:
    """Takes reports for one server process.

    Shape: *publisher* returns the one whose key signs now.
    """

    def __init__(
        self,
        store: Store,
        mirror: Mirror,
        committer: Committer,
        book: RouterBook,
        documents: Documents,
        hosts: Hosts,
        publisher: Callable[[], Publisher],
    ) -> None:
        self._store = store
        self._mirror = mirror
        self._committer = committer
        self._book = book
        self._documents = documents
        self._hosts = hosts
        self._publisher = publisher
        self._listeners: list[OnHappening] = []
        self.taken = 0

    def on_happening(self, listener: OnHappening) -> None:
        """Call *listener* with whatever a host says that happened."""
        self._listeners.append(listener)

    async def take(self, host: HostName, report: Report, asker: Asker) -> None:
        """Take note of *report*; durable when this returns.

        Raises: Unavailable, Overloaded.
        """
        self._hosts.seen(host)
        self.taken += 1
        writes = [*self._statuses(host, report), *self._hosts.facts(host, report)]
        for each in report.refused:
            await self._refused(host, each, asker, writes)
        if writes:
            revision = await self._store.commit((), writes, write_id=str(uuid4()))
            assert not isinstance(revision, Conflict)
            await self._mirror.reached(revision)
        for withdrawn in report.withdrawn:
            await self._acknowledge(host, withdrawn, asker)
        for happening in report.happenings:
            for listener in self._listeners:
                listener(host, happening)

    async def forget(self, host: HostName, asker: Asker) -> None:
        """Forget a dead host; what it should have withdrawn counts as withdrawn.

        Raises: NotFound, HostAlive, InvalidDeclaration; Unavailable, Overloaded.
        """
        writes = self._hosts.farewell(host)
        for filed in list(self._documents.of_host(host).values()):
            if filed.kind == TOMBSTONE and filed.version is not None:
                withdrawn = Withdrawn(filed.router, filed.placement.netns, filed.version)
                await self._acknowledge(host, withdrawn, asker)
        entry = AuditEntry(
            caller=asker.caller,
            address=asker.address,
            request_id=asker.request,
            action="ctherd:delete_host",
            decision=Decision.ALLOWED,
            rule="ctherd:delete_host",
            before={"host": host},
        )
        await self._committer.commit((), writes, entry)

    # -- statuses --------------------------------------------------------------------------------

    def _statuses(self, host: HostName, report: Report) -> list[Write]:
        own = self._documents.of_host(host)
        writes: list[Write] = []
        for fare in report.fares:
            filed = own.get(fare.id)
            if filed is None or filed.kind == TOMBSTONE:
                continue
            key = status_key(filed.router, filed.placement)
            words = {
                "router": fare.router,
                "netns": fare.netns,
                "version": list(fare.version),
                "assignments": fare.assignments,
            }
            writes += self._if_new(key, words)
        return writes

    def _if_new(self, key: str, words: Plain) -> list[Write]:
        value = json.dumps(words, separators=(",", ":")).encode()
        stored = self._mirror.get(key)
        return [] if stored is not None and stored.value == value else [Put(key, value)]

    async def _refused(
        self, host: HostName, unbelieved: Unbelieved, asker: Asker, writes: list[Write]
    ) -> None:
        """Keep beside the last status why a document is refused; audit it when it is new."""
        filed = self._documents.of_host(host).get(unbelieved.id)
        if filed is None:
            _log.warning("%s refuses %s: %s", host, unbelieved.id, unbelieved.reason)
            return
        key = status_key(filed.router, filed.placement)
        stored = self._mirror.get(key)
        known: Plain = json.loads(stored.value) if stored is not None else {}
        words = {
            "router": filed.router,
            "netns": filed.placement.netns,
            "version": known.get("version", [0, 0]),
            "assignments": known.get("assignments", {}),
            "refused": unbelieved.reason,
        }
        new = self._if_new(key, words)
        if new:
            _log.error("%s refuses %s: %s", host, unbelieved.id, unbelieved.reason)
            writes += new
            after = {"host": host, "document": filed.id, "reason": unbelieved.reason}
            await self._committer.note(
                _entry(asker, "host:refuse_document", filed, Decision.DENIED, after)
            )

    # -- tombstones ------------------------------------------------------------------------------

    async def _acknowledge(self, host: HostName, withdrawn: Withdrawn, asker: Asker) -> None:
        """Take a tombstone away that was obeyed, and let the router go where it is held."""
        for _ in range(_TRIES):
            filed = self._documents.of_host(host).get(withdrawn.id)
            if filed is None or filed.kind != TOMBSTONE or filed.version != withdrawn.version:
                return
            conflict = await self._committed(filed, asker)
            if conflict is None:
                return
            if conflict.current is not None:
                await self._mirror.reached(conflict.current.revision)
        _log.warning("%s on %s could not be taken away yet", withdrawn.id, host)

    async def _committed(self, filed: Filed, asker: Asker) -> Conflict | None:
        tombstone = self._mirror.get(filed.key)
        try:
            kept = self._book.find(filed.router)
        except RecordUnsound as error:
            _log.error("the withdrawal of %s is not taken note of: %s", filed.id, error)
            return None
        if tombstone is None:
            return None
        publication = self._publisher().acknowledge(
            kept.router if kept is not None else None,
            kept.revision if kept is not None else ABSENT,
            tombstone,
            filed.placement,
        )
        after = {"host": filed.placement.host, "document": filed.id}
        outcome = await self._committer.commit(
            publication.expects,
            [
                *publication.caused_by(asker.request),
                Delete(status_key(filed.router, filed.placement)),
            ],
            _entry(asker, "host:acknowledge_withdrawal", filed, Decision.ALLOWED, after),
        )
        return outcome if isinstance(outcome, Conflict) else None


def _entry(asker: Asker, action: str, filed: Filed, decision: Decision, after: Plain) -> AuditEntry:
    return AuditEntry(
        caller=asker.caller,
        address=asker.address,
        request_id=asker.request,
        action=action,
        decision=decision,
        rule="host",
        router=filed.router,
        after=after,
    )
