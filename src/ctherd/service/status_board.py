"""How every declared helper fares, put together from what the hosts reported.

A report is believed for the version that it names and as long as its host is alive. The order in
which a placement is judged, first match wins:

    the placement is held                         pending: waits for the hosts that it left
    its host refused the document                 error; why, administrators see at the host
    the host is silent                            stale, and what it said last
    no report yet, or one of an older version     pending
    else                                          what the host said, family by family

No reason names a host: tenants read them, who need not know where their routers live. Which host
it is about stands beside it, for those who may.
"""

import asyncio
import json
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from ctherd.model.assignment import Assignment, AssignmentId, families_of
from ctherd.model.catalog import Family
from ctherd.model.document import RouterId
from ctherd.model.router import HostName, Placement, Router
from ctherd.model.status import State
from ctherd.service.documents import Documents
from ctherd.service.helper_status import FamilyStatus, HelperStatus
from ctherd.service.hosts import Hosts
from ctherd.service.records import DOCUMENTS, STATUSES
from ctherd.service.refusals import RecordUnsound
from ctherd.service.router_book import RouterBook
from ctherd.signing.canonical import Plain
from ctherd.signing.statements import TOMBSTONE, Version
from ctherd.store.mirror import Mirror
from ctherd.store.port import Batch, Revision, Stored

_REFUSED: Final = "its host does not believe what it was sent; administrators see why at the host"
_UNPLACED: Final = HelperStatus(State.PENDING, "the router is not placed on any host")


def status_key(router: RouterId, placement: Placement) -> str:
    """Return where the report of *placement* on *router* lies."""
    return f"{STATUSES}{placement.host}/{router}/{placement.netns}"


class StatusBoard:
    """Follows a mirror that covers reports and documents."""

    def __init__(
        self, mirror: Mirror, book: RouterBook, documents: Documents, hosts: Hosts, epoch: int
    ) -> None:
        self._mirror = mirror
        self._book = book
        self._documents = documents
        self._hosts = hosts
        self._epoch = epoch
        self._read: dict[str, tuple[Revision, Plain]] = {}
        self._waiting: dict[RouterId, set[asyncio.Future[None]]] = defaultdict(set)
        self._stop = mirror.subscribe(self._follow)

    def close(self) -> None:
        """Follow the mirror no longer."""
        self._stop()

    def of(self, router: Router) -> Mapping[AssignmentId, HelperStatus]:
        """Return how every helper of *router* fares."""
        if not router.placements:
            return dict.fromkeys(router.helpers, _UNPLACED)
        views = [self._view(router, each) for each in router.placements]
        return {
            name: _summed([each for view in views for each in view.of(declared.assignment)])
            for name, declared in router.helpers.items()
        }

    async def settled(self, router: RouterId, serial: int, timeout_s: float) -> bool:
        """Wait until every host of *router* has reported on *serial* or later; tell whether.

        Shape: a host that is silent is not waited for, but the placement that waits for it is; a
        deleted router is settled when its tombstones are acknowledged.
        """
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + timeout_s
        while not self._is_settled(router, serial):
            left_s = give_up_s - loop.time()
            if left_s <= 0 or not self._is_worth_waiting(router, serial):
                return False
            await self._change(router, left_s)
        return True

    # -- waiting ---------------------------------------------------------------------------------

    def _is_settled(self, router: RouterId, serial: int) -> bool:
        return not self._unsettled(router, serial)

    def _is_worth_waiting(self, router: RouterId, serial: int) -> bool:
        return any(self._hosts.is_alive(host) for host in self._unsettled(router, serial))

    def _unsettled(self, router: RouterId, serial: int) -> set[HostName]:
        """Return the hosts that have yet to say something."""
        held = self._held(router)
        owing = set(held or ())
        for filed in self._documents.of_router(router):
            host = filed.placement.host
            if filed.kind == TOMBSTONE:
                # A router that lives goes on without the silent host that it left.
                if held is None or self._hosts.is_alive(host):
                    owing.add(host)
            elif self._reported(router, filed.placement) < Version(self._epoch, serial):
                owing.add(host)
        return owing

    def _held(self, router: RouterId) -> set[HostName] | None:
        """Return the hosts whose placement waits for others; None if there is no such router."""
        with suppress(RecordUnsound):
            kept = self._book.find(router)
            return None if kept is None else {each.host for each in kept.router.held}
        return None

    def _reported(self, router: RouterId, placement: Placement) -> Version:
        report = self._report(status_key(router, placement))
        if report is None:
            return Version(0, 0)
        if report.get("refused"):
            return Version(self._epoch, 1 << 62)
        return _version(report)

    async def _change(self, router: RouterId, timeout_s: float) -> None:
        """Wait until something is heard of *router*; once a second in case a host falls silent."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[router].add(future)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(timeout_s, 1.0)):
                    await future
        finally:
            self._waiting[router].discard(future)
            if not self._waiting[router]:
                del self._waiting[router]

    def _follow(self, batch: Batch) -> None:
        for key, value, _ in batch.events:
            if not key.startswith((STATUSES, DOCUMENTS)):
                continue
            if value is None:
                self._read.pop(key, None)
            _, _, router, *_ = (*key.split("/"), "", "")
            for future in self._waiting.get(RouterId(router), ()):
                if not future.done():
                    future.set_result(None)

    # -- judging ---------------------------------------------------------------------------------

    def _view(self, router: Router, placement: Placement) -> "_View":
        host = placement.host
        if placement in router.held:
            return _Plain(host, State.PENDING, "waits for the host that it left to withdraw it")
        report = self._report(status_key(router.id, placement))
        if report is not None and report.get("refused"):
            return _Plain(host, State.ERROR, _REFUSED)
        current = report is not None and _version(report) >= Version(self._epoch, router.serial)
        if not self._hosts.is_alive(host):
            return self._silent(host, report if current else None)
        if report is None or not current:
            return _Plain(host, State.PENDING, "its host has not reported on it yet")
        return _Reported(host, report)

    def _silent(self, host: HostName, report: Plain | None) -> "_View":
        since = self._hosts.silent_since(host)
        if not since:
            return _Plain(host, State.PENDING, "no agent of its host was ever heard")
        if report is None:
            return _Plain(host, State.STALE, f"its host is silent since {since}", since)
        return _Stale(host, report, since)

    def _report(self, key: str) -> Plain | None:
        stored = self._mirror.get(key)
        if stored is None:
            return None
        known = self._read.get(key)
        if known is None or known[0] != stored.revision:
            known = self._read[key] = (stored.revision, _parsed(stored))
        return known[1]


class _View(ABC):
    """What is known of all helpers of a router in one place."""

    def __init__(self, host: HostName) -> None:
        self._host = host

    def of(self, assignment: Assignment) -> Iterator[FamilyStatus]:
        """Yield the status of each family of *assignment*."""
        for family in families_of(assignment.key, assignment.destinations):
            yield self._family(assignment, family)

    @abstractmethod
    def _family(self, assignment: Assignment, family: Family) -> FamilyStatus: ...


class _Plain(_View):
    """The same for all of them."""

    def __init__(self, host: HostName, state: State, reason: str, since: str = "") -> None:
        super().__init__(host)
        self._said = (state, reason, since)

    def _family(self, assignment: Assignment, family: Family) -> FamilyStatus:
        return FamilyStatus(self._host, family, *self._said)


class _Reported(_View):
    """As the host says."""

    def __init__(self, host: HostName, report: Plain) -> None:
        super().__init__(host)
        self._assignments: Mapping[str, Any] = report["assignments"]

    def _family(self, assignment: Assignment, family: Family) -> FamilyStatus:
        said = self._assignments.get(assignment.id, {"families": {}})["families"].get(family.value)
        if said is None:
            return FamilyStatus(self._host, family, State.PENDING, "the host says nothing of it")
        return FamilyStatus(
            self._host,
            family,
            State(said["status"]),
            said["reason"],
            said["since"],
            said.get("verified_at", ""),
            said.get("verified_by", ""),
        )


class _Stale(_Reported):
    """As the host said when it was heard last."""

    def __init__(self, host: HostName, report: Plain, since: str) -> None:
        super().__init__(host, report)
        self._since = since

    def _family(self, assignment: Assignment, family: Family) -> FamilyStatus:
        last = super()._family(assignment, family)
        words = f"{last.state} {last.reason}".rstrip()
        reason = f"its host is silent since {self._since}; it said last: {words}"
        return FamilyStatus(self._host, family, State.STALE, reason, self._since)


def _summed(details: list[FamilyStatus]) -> HelperStatus:
    """Return all hosts and families in one: equal ones are kept, unequal ones make ``partial``."""
    if not details:
        return HelperStatus(State.PENDING, "no host has a family for it", ())
    first = details[0]
    if all(each.state is first.state for each in details):
        reasons = dict.fromkeys(each.reason for each in details if each.reason)
        return HelperStatus(first.state, "; ".join(reasons), tuple(details))
    bad = [
        f"{each.family}: {each.state} {each.reason}".rstrip()
        for each in details
        if each.state is not State.ACTIVE
    ]
    return HelperStatus(State.PARTIAL, "; ".join(dict.fromkeys(bad)), tuple(details))


def _parsed(stored: Stored) -> Plain:
    """Return the report in the store; one that is none says nothing."""
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        report: Plain = json.loads(stored.value)
        _version(report)
        report["assignments"].values()
        return report
    return {"version": [0, 0], "assignments": {}}


def _version(report: Plain) -> Version:
    epoch, serial = report["version"]
    return Version(int(epoch), int(serial))
