"""The reconciler: makes the kernel of many netns agree with the documents, and keeps it so.

Goals, and the tension between them: what was declared must become true at once; nothing may be
removed that is merely not known yet; and whatever dies in between, the next start must know what is
ours. So the order is fixed. *Record* comes before *commit*: a crash between them leaves a record of
something that was never made, which is harmless, and never a table that nobody remembers. And
*forget* comes after: a crash there leaves a record of something that is gone, which the next diff
forgets. Not in sync, nothing is removed at all.

What a commit owes to live flows is recorded before it as well. Whoever owns the reconciler has it
paid afterwards, at a time of his own (``owing``, then ``settle``): reading all flows of a router
takes longer than committing to a hundred, and no other router shall wait for that.

One netns' failure stays in its entry; the others go on.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from ctherd.errors import Contended, CtherdError, NetnsAbsent, NetnsRefused
from ctherd.guard.decide import Guard
from ctherd.model.assignment import AssignmentKey
from ctherd.model.catalog import Family
from ctherd.model.document import Document, NetnsName, RouterId
from ctherd.model.observation import Ownership, Unchanged
from ctherd.plan.diff import Verb
from ctherd.plan.plan import Plan, make_plan
from ctherd.ports import (
    Committed,
    Dataplane,
    Edit,
    Journal,
    Moved,
    ObserveRequest,
    Refusal,
    Revocation,
    Revoked,
    Transaction,
)
from ctherd.reconcile.entry import Entry
from ctherd.reconcile.renames import renamed
from ctherd.reconcile.tag import drawn_tag

_TRIES: Final = 8
"""How often a moved ruleset is read and planned again before somebody else is asked to wait."""

_RECORDED: Final = frozenset((Verb.CREATE, Verb.REPLACE, Verb.ADOPT))


class Report(NamedTuple):
    """What reconciling one netns came to, where it was anything at all.

    Shape: *tries* counts observations, so 1 is a ruleset that nobody else moved; *refused_in* is as
    in Committed.
    """

    netns: NetnsName
    router: RouterId
    plan: Plan | None = None
    refused: Mapping[AssignmentKey, Refusal] = MappingProxyType({})
    error: CtherdError | None = None
    tries: int = 1
    refused_in: Mapping[AssignmentKey, Mapping[Family, Refusal]] = MappingProxyType({})


class Reconciler:
    """Owns the entries of every netns that is desired or managed.

    Shape: *stays* is false for a process that is about to end: it claims no table that is right,
    because the kernel would guard it for a moment only.
    Raises: JournalError from the constructor and from ``reconcile``, before anything is changed
    that could not be remembered.
    """

    def __init__(
        self, dataplane: Dataplane, journal: Journal, guard: Guard, *, stays: bool = True
    ) -> None:
        self._dataplane = dataplane
        self._stays = stays
        self._journal = journal
        self._guard = guard
        self._by_cookie: dict[int, NetnsName] = {}
        self.in_sync = False
        self.entries: dict[NetnsName, Entry] = {
            record.netns: Entry(
                record.netns,
                record.router,
                record.tag,
                recorded_router=record.router,
                managed=record.managed,
                on_revoke=record.on_revoke,
                owed=record.owed,
                adopts=record.adopting,
            )
            for record in journal.load().values()
        }

    # -- what is wanted --------------------------------------------------------------------------

    def accept(self, documents: Iterable[Document], *, complete: bool = True) -> set[NetnsName]:
        """Take *documents* as the desired state; *complete* means that there are no others.

        Shape: returns the netns whose desired state is another now.
        """
        wanted = {document.netns: document for document in documents}
        self._follow_renames(wanted, complete=complete)
        touched = {netns for netns, document in wanted.items() if self._want(netns, document)}
        if complete:
            self.in_sync = True
            touched |= self.withdraw([each for each in self.entries if each not in wanted])
        self._record_router_names()
        return touched

    def withdraw(self, names: Iterable[NetnsName]) -> set[NetnsName]:
        """Take it that nothing is desired in these netns any more; unknown ones are no error.

        Shape: returns the known ones; not in sync, nothing is removed from them yet.
        """
        entries = [self.entries[name] for name in names if name in self.entries]
        for entry in entries:
            self._guard.forget(entry.router)
            entry.want(None, {})
        return {entry.netns for entry in entries}

    def _want(self, netns: NetnsName, document: Document) -> bool:
        entry = self.entries.get(netns)
        if entry is None:
            entry = self.entries[netns] = Entry(netns, document.router)
        if entry.document == document:
            return False
        entry.want(document, self._guard.denials(document))
        return True

    def _record_router_names(self) -> None:
        """Write renamed routers down, so that the journal calls them as their author does."""
        renamed = [
            Edit(entry.netns, entry.router, entry.tag)
            for entry in self.entries.values()
            if entry.tag is not None and entry.router != entry.recorded_router
        ]
        if renamed:
            self._journal.record(renamed)
            for edit in renamed:
                self.entries[edit.netns].recorded_router = edit.router

    def set_guard(self, guard: Guard) -> None:
        """Judge everything again by another policy."""
        self._guard = guard
        for entry in self.entries.values():
            if entry.document is not None:
                entry.want(entry.document, guard.denials(entry.document))

    def release(self, names: Iterable[NetnsName]) -> None:
        """Let go of these netns, which were deleted or replaced."""
        for name in names:
            entry = self.entries.get(name)
            if entry is not None:
                if entry.cookie is not None:
                    self._by_cookie.pop(entry.cookie, None)
                entry.lose()
        self._dataplane.release(names)

    def _follow_renames(self, wanted: Mapping[NetnsName, Document], *, complete: bool) -> None:
        """Carry records over to the new names of netns that are the same ones."""
        moved = renamed(self._dataplane, self.entries, wanted, complete=complete)
        for old, new in moved.items():
            self._journal.rename(old, new)
            self.release((old,))
            entry = self.entries[new] = self.entries.pop(old)
            entry.netns = new

    # -- the loop's body -------------------------------------------------------------------------

    def plan(self, names: Iterable[NetnsName] | None = None) -> list[Report]:
        """Observe and diff, and change nothing: one report for every netns."""
        chosen = self._chosen(names)
        self._identify(chosen)
        plans = dict(self._plans([entry for entry in chosen if entry.cookie is not None]))
        return [
            Report(
                entry.netns,
                entry.router,
                plans.get(entry.netns, Plan(entry.router, entry.netns)),
                error=entry.error,
            )
            for entry in chosen
        ]

    def reconcile(self, names: Iterable[NetnsName] | None = None) -> list[Report]:
        """Make these netns (None: all) as desired: one report for each that was not already."""
        chosen = self._chosen(names)
        self._identify(chosen)
        reports = [
            Report(entry.netns, entry.router, error=entry.error)
            for entry in chosen
            if entry.cookie is None
        ]
        self._forget_the_dead(chosen)
        self._record_restated(chosen)
        chosen = [entry for entry in chosen if entry.cookie is not None]
        for tries in range(1, _TRIES + 1):
            chosen = self._round(chosen, reports, tries)
            if not chosen:
                return reports
        return [*reports, *(self._contended(entry) for entry in chosen)]

    def _chosen(self, names: Iterable[NetnsName] | None) -> list[Entry]:
        if names is None:
            return list(self.entries.values())
        return [self.entries[name] for name in names if name in self.entries]

    def _identify(self, chosen: Sequence[Entry]) -> None:
        """Learn which netns each name leads to now; what was known of another one is forgotten."""
        names = [entry.netns for entry in chosen]
        for entry, cookie in zip(chosen, self._dataplane.identify(names), strict=True):
            if cookie == entry.cookie:
                continue
            if entry.cookie is not None:
                self._by_cookie.pop(entry.cookie, None)
                entry.lose()
            if isinstance(cookie, CtherdError):
                entry.error = cookie
                continue
            other = self._by_cookie.setdefault(cookie, entry.netns)
            if other != entry.netns:
                entry.error = NetnsRefused(
                    f"is the same network namespace as {other}",
                    where=entry.netns,
                    cure="declare one router for it, under one name",
                )
                self._dataplane.release((entry.netns,))
                continue
            entry.cookie = entry.last_cookie = cookie
            entry.error = None

    def _round(self, chosen: Sequence[Entry], reports: list[Report], tries: int) -> list[Entry]:
        """Bring *chosen* one step on; return those whose ruleset moved under our hands."""
        todo: list[tuple[Entry, Plan]] = []
        for netns, plan in self._plans(chosen):
            entry = self.entries[netns]
            if plan is None:
                reports.append(Report(entry.netns, entry.router, error=entry.error, tries=tries))
            elif plan.empty:
                if self.in_sync:
                    # Else removals may only be waiting for the complete desired state.
                    entry.settle()
                self._drop_if_nothing_is_left(entry)
            else:
                todo.append((entry, plan))
        if not todo:
            return []
        self._record_intent(todo)
        return self._commit(todo, reports, tries)

    def _plans(self, chosen: Sequence[Entry]) -> Iterator[tuple[NetnsName, Plan | None]]:
        """Yield a plan for each entry that is not settled; None where it could not be observed."""
        requests = [entry.request or ObserveRequest(entry.netns, entry.tag) for entry in chosen]
        guard_place = self._stays and self._dataplane.capabilities().guards
        for entry, observed in zip(chosen, self._dataplane.observe(requests), strict=True):
            if type(observed) is Unchanged and entry.settled:
                continue
            if isinstance(observed, CtherdError):
                entry.fail(observed)
                yield entry.netns, None
                continue
            entry.see(observed)
            assert entry.observed is not None
            yield (
                entry.netns,
                make_plan(
                    entry.router,
                    entry.desired,
                    entry.managed,
                    entry.observed,
                    in_sync=self.in_sync,
                    guard_place=guard_place,
                ),
            )

    def _record_intent(self, todo: Sequence[tuple[Entry, Plan]]) -> None:
        """Put on disk what is about to be made, and under which mark, unless it is there already.

        A ruleset that keeps moving is planned again and again: only the first time waits for the
        disk, and the others commit right after they looked.
        """
        edits = []
        for entry, plan in todo:
            had = entry.managed
            put = {
                key: after
                for verb, key, _, after, _ in plan.changes
                if verb in _RECORDED and after is not None and had.get(key) != after
            }
            owe = entry.new_debts(plan.changes)
            if not (put or owe):
                continue
            tag = entry.tag or drawn_tag()
            edits.append(entry.edit(tag, put, owe))
        self._record(edits)

    def _record_restated(self, chosen: Sequence[Entry]) -> None:
        """Put on disk what shall become of flows, where only that was declared anew."""
        self._record(
            [
                entry.edit(entry.tag, put, entry.newly_adopting())
                for entry in chosen
                if entry.tag is not None and (put := entry.restated())
            ]
        )

    def _record(self, edits: Sequence[Edit]) -> None:
        if not edits:
            return
        self._journal.record(edits)
        for edit in edits:
            self.entries[edit.netns].remember(edit)

    def _commit(
        self, todo: Sequence[tuple[Entry, Plan]], reports: list[Report], tries: int
    ) -> list[Entry]:
        """Carry the plans out; return the entries whose ruleset moved under our hands."""
        working = [_transaction(entry, plan) for entry, plan in todo if plan.touches_kernel]
        outcomes = iter(self._dataplane.commit(working))
        moved, edits = [], []
        for entry, plan in todo:
            outcome = next(outcomes) if plan.touches_kernel else None
            if isinstance(outcome, Moved):
                entry.look_anew()
                moved.append(entry)
                continue
            refused: Mapping[AssignmentKey, Refusal] = {}
            refused_in: Mapping[AssignmentKey, Mapping[Family, Refusal]] = {}
            if isinstance(outcome, CtherdError):
                entry.fail(outcome)
            else:
                if isinstance(outcome, Committed):
                    refused, refused_in = outcome.refused, outcome.refused_in
                    entry.take(plan, outcome, in_sync=self.in_sync)
                edits += entry.forget(plan.changes, refused)
            reports.append(
                Report(entry.netns, entry.router, plan, refused, entry.error, tries, refused_in)
            )
        if edits:
            self._journal.record(edits)
        for entry, _ in todo:
            self._drop_if_nothing_is_left(entry)
        return moved

    # -- what live flows are owed ----------------------------------------------------------------

    def owing(self, names: Iterable[NetnsName] | None = None) -> list[Revocation]:
        """Return what is owed to live flows in these netns (None: all), where it can be paid now.

        Until it is settled, these netns must not be reconciled: new flows of an assignment that
        came back in between would be taken for old ones.
        """
        return [found for each in self._chosen(names) if (found := each.revocation()) is not None]

    def settle(self, outcomes: Iterable[Revoked]) -> None:
        """Strike out what was paid."""
        edits = []
        paid = []
        for revoked in outcomes:
            entry = self.entries.get(self._by_cookie.get(revoked.cookie, revoked.netns))
            if entry is not None:
                edits += entry.pay(revoked)
                paid.append(entry)
        if edits:
            self._journal.record(edits)
        for entry in paid:
            self._drop_if_nothing_is_left(entry)

    # -- what is over ----------------------------------------------------------------------------

    def _drop_if_nothing_is_left(self, entry: Entry) -> None:
        """Let go of a netns in which nothing is wanted, made or live any more."""
        if entry.desired or entry.managed or not self.in_sync or entry.error is not None:
            return
        if entry.owed:
            return
        if entry.observed is None or entry.observed.ownership is Ownership.OURS:
            return
        if entry.tag is not None:
            self._journal.drop([entry.netns])
            entry.tag = None
            entry.request = None
        if entry.document is None:
            self.release((entry.netns,))
            del self.entries[entry.netns]

    def _forget_the_dead(self, chosen: Sequence[Entry]) -> None:
        """Drop the records of netns that nobody wants and that do not exist any more."""
        if not self.in_sync:
            return
        dead = [
            entry.netns
            for entry in chosen
            if entry.document is None and type(entry.error) is NetnsAbsent
        ]
        if dead:
            self._journal.drop(dead)
            for netns in dead:
                del self.entries[netns]

    def _contended(self, entry: Entry) -> Report:
        error = Contended(
            f"the ruleset was changed by others {_TRIES} times while it was being changed here",
            where=entry.netns,
            cure="it is tried again; `nft monitor` in that namespace shows who changes it",
        )
        entry.fail(error)
        return Report(entry.netns, entry.router, error=error, tries=_TRIES)


def _transaction(entry: Entry, plan: Plan) -> Transaction:
    assert entry.tag is not None and entry.observed is not None
    return Transaction(
        entry.netns,
        entry.tag,
        entry.observed.generation,
        plan.kernel_changes,
        repair=bool(plan.repairs),
        claim=plan.claim,
    )
