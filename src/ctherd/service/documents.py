"""Which documents and tombstones the store holds for which host: found by host and by router.

They are read here, and not believed: who may act on one checks its seal first.
"""

import json
import logging
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import NamedTuple, TypeVar

from ctherd.errors import RemoteProtocolError
from ctherd.model.document import NetnsName, RouterId
from ctherd.model.router import HostName, Placement
from ctherd.service.records import DOCUMENTS, read_envelope
from ctherd.signing.statements import TOMBSTONE, DocumentId, Version, document_id
from ctherd.store.mirror import Mirror
from ctherd.store.port import Batch, Revision

_log = logging.getLogger(__name__)

Outer = TypeVar("Outer")
Inner = TypeVar("Inner")


class Filed(NamedTuple):
    """A statement in the store.

    Shape: *kind* is "" and *version* None for what cannot be read.
    """

    key: str
    router: RouterId
    placement: Placement
    kind: str
    version: Version | None
    revision: Revision

    @property
    def id(self) -> DocumentId:
        """What its host calls it."""
        return document_id(self.router, self.placement.netns)


class Documents:
    """Follows a mirror that covers them."""

    def __init__(self, mirror: Mirror) -> None:
        self._of_host: dict[HostName, dict[DocumentId, Filed]] = defaultdict(dict)
        self._of_router: dict[RouterId, dict[str, Filed]] = defaultdict(dict)
        self._tombstones: dict[str, Filed] = {}
        for stored in mirror.under(DOCUMENTS):
            self._file(stored.key, stored.value, stored.revision)
        self._stop = mirror.subscribe(self._follow)

    def close(self) -> None:
        """Follow the mirror no longer."""
        self._stop()

    def hosts(self) -> Collection[HostName]:
        """Return every host that has anything."""
        return self._of_host.keys()

    def of_host(self, host: HostName) -> Mapping[DocumentId, Filed]:
        """Return all that *host* has."""
        return self._of_host.get(host, {})

    def of_router(self, router: RouterId) -> Collection[Filed]:
        """Return all that any host has of *router*."""
        return self._of_router[router].values() if router in self._of_router else ()

    def tombstones(self) -> Collection[Filed]:
        """Return all that waits to be acknowledged."""
        return self._tombstones.values()

    def _follow(self, batch: Batch) -> None:
        for key, value, revision in batch.events:
            if not key.startswith(DOCUMENTS):
                continue
            if value is None:
                self._strike(key)
            else:
                self._file(key, value, revision)

    def _file(self, key: str, value: bytes, revision: Revision) -> None:
        place = _placed(key)
        if place is None:
            _log.error("%s in the store is no document's place", key)
            return
        filed = Filed(key, *place, *_peek(key, value), revision)
        self._of_host[filed.placement.host][filed.id] = filed
        self._of_router[filed.router][key] = filed
        self._tombstones.pop(key, None)
        if filed.kind == TOMBSTONE:
            self._tombstones[key] = filed

    def _strike(self, key: str) -> None:
        place = _placed(key)
        if place is None:
            return
        router, placement = place
        self._tombstones.pop(key, None)
        _drop(self._of_router, router, key)
        _drop(self._of_host, placement.host, document_id(router, placement.netns))


def _placed(key: str) -> tuple[RouterId, Placement] | None:
    match key.removeprefix(DOCUMENTS).split("/"):
        case [host, router, netns]:
            return RouterId(router), Placement(HostName(host), NetnsName(netns))
    return None


def _peek(key: str, value: bytes) -> tuple[str, Version | None]:
    """Return kind and version as the payload says, whoever wrote it."""
    try:
        payload = json.loads(read_envelope(value).payload)
        epoch, serial = payload["version"]
        return str(payload["kind"]), Version(int(epoch), int(serial))
    except (RemoteProtocolError, ValueError, KeyError, TypeError, RecursionError) as error:
        _log.error("%s in the store cannot be read: %s", key, error)
        return "", None


def _drop(index: dict[Outer, dict[Inner, Filed]], outer: Outer, inner: Inner) -> None:
    if outer in index:
        index[outer].pop(inner, None)
        if not index[outer]:
            del index[outer]
