"""What can be asked of one host, answered in plain data that `-o json` prints as it is."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from ctherd.errors import CtherdError, NotFound, UnsafePlan
from ctherd.guard.decide import Guard
from ctherd.model.assignment import Assignment, AssignmentId, AssignmentKey, OnRevoke
from ctherd.model.debt import Action, Debt
from ctherd.model.document import Document, NetnsName, document
from ctherd.model.evidence import Evidence
from ctherd.model.safe_scope import SafeScope
from ctherd.model.status import AssignmentStatus, State
from ctherd.plan import risk
from ctherd.plan.revocation import debts
from ctherd.plan.safety import Danger, Limits, danger
from ctherd.ports import Dataplane, Journal, Record, Revocation, Revoked, Revoker
from ctherd.reconcile.entry import Entry
from ctherd.reconcile.reconciler import Reconciler, Report
from ctherd.reconcile.renames import renamed
from ctherd.reconcile.standing import NatMissing, statuses
from ctherd.service import verification
from ctherd.service.evidence import EvidenceBook, OfNetns, no_evidence
from ctherd.service.host_answers import Answer, entry_as_data, report_as_data
from ctherd.service.overview import overview
from ctherd.service.revocations import (
    Outcome,
    add_outcomes,
    debt_as_data,
    revoked_as_data,
)
from ctherd.service.shadow import MemoryJournal, ReadOnlyDataplane

LookAround = Callable[[NetnsName, Collection[AssignmentKey]], Answer]
"""Returns flows, expectations, foreign findings, trouble and counters of one netns, where such
assignments are live, as plain data."""

FindTrouble = Callable[[NetnsName, Collection[AssignmentKey]], Sequence[str]]
"""Says in words what in a netns stands in the way of assignments."""


Tell = Callable[[int, int], None]
"""Called with how many of how many routers are done."""

_BATCH: Final = 256
"""Routers that are looked at in one go, between two words on how far it is."""


def _nobody(done: int, total: int) -> None:
    """Nobody wants to know how far it is."""


class HostService:
    """Plans, applies and shows on this host.

    Shape: *stays* as in Reconciler; *look_around* adds to `show` what is not ours; *chosen* says in
    plain data which dataplane it is, and why.
    """

    def __init__(
        self,
        dataplane: Dataplane,
        journal: Journal,
        guard: Guard,
        limits: Limits,
        *,
        nat_missing: NatMissing,
        look_around: LookAround,
        find_trouble: FindTrouble,
        revoker: Revoker,
        stays: bool,
        chosen: Mapping[str, str] = MappingProxyType({}),
        evidence: EvidenceBook | None = None,
    ) -> None:
        self._dataplane = dataplane
        self._journal = journal
        self._guard = guard
        self._limits = limits
        self._nat_missing = nat_missing
        self._look_around = look_around
        self._find_trouble = find_trouble
        self._chosen = chosen
        self._stays = stays
        self.revoker = revoker
        self.evidence = evidence or no_evidence()
        self.reconciler = Reconciler(dataplane, journal, guard, stays=stays)

    @property
    def chosen(self) -> Mapping[str, str]:
        """Which dataplane it is, and why."""
        return self._chosen

    @property
    def hears_of_drift(self) -> bool:
        """False if drift has to be looked for, because the kernel announces none."""
        return self._dataplane.capabilities().events

    @property
    def scope(self) -> SafeScope:
        """What narrows helpers here."""
        return self._guard.scope

    def set_guard(self, guard: Guard) -> None:
        """Judge everything by another policy from now on."""
        self._guard = guard
        self.reconciler.set_guard(guard)

    def set_limits(self, limits: Limits) -> None:
        """Call other removals unusual from now on."""
        self._limits = limits

    def plan(
        self, documents: Sequence[Document], *, partial: bool = False, tell: Tell = _nobody
    ) -> Answer:
        """Say what applying *documents* would change, and change nothing."""
        wanted = self._with_others(documents) if partial else list(documents)
        shadow = self._shadow()
        shadow.accept(wanted)
        reports = _in_batches(shadow.plan, list(shadow.entries), tell)
        known = self.reconciler.entries
        routers = [self._planned(report, shadow.entries[report.netns]) for report in reports]
        self._dataplane.release([each for each in shadow.entries if each not in known])
        unsafe = self.danger(wanted)
        return {
            "routers": routers,
            "unsafe": str(unsafe) if unsafe else None,
        }

    def apply(
        self,
        documents: Sequence[Document],
        *,
        partial: bool = False,
        confirmed: bool = False,
        tell: Tell = _nobody,
    ) -> Answer:
        """Make *documents* true, and pay what that owes to live flows unless we stay for it.

        Raises: UnsafePlan, with nothing changed, if unusually much would go and nobody confirmed.
        """
        wanted = self._with_others(documents) if partial else list(documents)
        unsafe = self.danger(wanted)
        if unsafe and not confirmed:
            raise UnsafePlan(
                f"{unsafe}; nothing was changed",
                cure="look at `ctherd plan`; if that is meant, say --yes (agent: `ctherd confirm`)",
            )
        self.reconciler.accept(wanted)
        entries = dict(self.reconciler.entries)
        done = _in_batches(self.reconciler.reconcile, list(entries), tell)
        reports = {report.netns: report for report in done}
        # What is settled has no report, and may yet be denied or refused in part.
        answer: Answer = {
            "routers": [
                report_as_data(reports.get(netns) or Report(netns, entry.router), entry, self.scope)
                for netns, entry in entries.items()
            ]
        }
        return answer if self._stays else add_outcomes(answer, self._revoke())

    def _revoke(self) -> dict[NetnsName, Outcome]:
        outcomes = {each.netns: self.revoker.revoke(each) for each in self.reconciler.owing()}
        self.reconciler.settle(each for each in outcomes.values() if isinstance(each, Revoked))
        return outcomes

    def adoption(self, router: str, assignment: str = "") -> Revocation:
        """Return what lets the helpers of *router*, or one of them, reach flows that are open.

        Shape: *assignment* is ``tcp/21``, ``tcp/21/ftp`` or ``ftp``.
        Raises: NotFound.
        """
        entries = self.reconciler.entries.values()
        names = [each.netns for each in entries if router in (each.router, each.netns)]
        self.reconciler.plan(names)
        for entry in map(self.reconciler.entries.__getitem__, names):
            live = entry.observed.live if entry.observed is not None else {}
            chosen = [key for key in live if assignment in verification.names(key)]
            if chosen and entry.cookie is not None:
                owed = tuple(Debt(Action.ADOPT, key, live[key]) for key in chosen)
                return Revocation(entry.netns, entry.cookie, entry.tag, owed, live)
        raise NotFound(f"{router!r} has no {assignment or 'assignment'} in the kernel")

    def adopt(self, adoption: Revocation, *, really: bool) -> Answer:
        """Carry *adoption* out; without *really* the flows are only counted.

        Raises: CtherdError if the flows cannot be read or changed.
        """
        answer: Answer = {"netns": adoption.netns, "adopts": [], "revoked": []}
        if not really:
            return answer | {"adopts": self._counted(adoption)}
        outcome = self.revoker.revoke(adoption)
        if isinstance(outcome, CtherdError):
            raise outcome
        return answer | {"revoked": revoked_as_data(outcome)}

    def _counted(self, revocation: Revocation) -> list[Answer]:
        counted = self.revoker.count(revocation)
        if isinstance(counted, CtherdError):
            raise counted
        return [debt_as_data(debt) | {"flows": flows} for debt, flows in counted.items()]

    def danger(self, documents: Sequence[Document]) -> Danger | None:
        """Return what is unusual about going to *documents* from what is managed."""
        desired = {each.netns: each.desired for each in documents}
        entries = self.reconciler.entries
        # What goes along to another name of its netns is not removed.
        moved = renamed(self._dataplane, entries, desired, complete=True)
        managed = {
            moved.get(netns, netns): entry.managed
            for netns, entry in entries.items()
            if netns not in moved.values()
        }
        return danger(desired, managed, self._limits)

    def show(self, router: str = "") -> Answer:
        """Say how every router, or the one called *router*, fares.

        Raises: NotFound.
        """
        return self._show_all(self.reconciler, router)

    def look(self, documents: Sequence[Document] | None, router: str = "") -> Answer:
        """Show, as if *documents* were desired (None: nothing is known of that).

        Raises: NotFound.
        """
        shadow = self._shadow()
        if documents is not None:
            shadow.accept(documents)
        return self._show_all(shadow, router)

    def targets(self, documents: Sequence[Document] | None, router: str, assignment: str) -> Answer:
        """Return what `ctherd verify` has to look at, as if *documents* were desired.

        Shape: None: what is desired is known already.
        Raises: NotFound.
        """
        reconciler = self.reconciler
        if documents is not None:
            reconciler = self._shadow()
            reconciler.accept(documents)
        entries = reconciler.entries.values()
        dataplane = self._chosen.get("name", "")
        return verification.targets(entries, router, assignment, dataplane, self._guard.policy)

    def keep_evidence(self, netns: NetnsName, found: Iterable[Evidence]) -> None:
        """Keep what `ctherd verify` found.

        Raises: JournalError.
        """
        entries = self.reconciler.entries
        entry = entries.get(netns)
        keys = {*entry.managed, *entry.desired} if entry is not None else set()
        self.evidence.keep(netns, found, entries, keys)

    def evidence_of(self, entry: Entry, *, thoroughly: bool) -> OfNetns:
        """Return the evidence that there is for *entry*, judged."""
        live = entry.observed.live if entry.observed is not None else {}
        return self.evidence.of(entry.netns, entry.tag, live, thoroughly=thoroughly)

    def _shadow(self) -> Reconciler:
        return Reconciler(
            ReadOnlyDataplane(self._dataplane),
            MemoryJournal(self._journal.load()),
            self._guard,
            stays=self._stays,
        )

    def _show_all(self, reconciler: Reconciler, router: str) -> Answer:
        entries = [
            entry
            for entry in reconciler.entries.values()
            if not router or router in (entry.router, entry.netns)
        ]
        if router and not entries:
            raise NotFound(f"no router {router!r} is declared or managed here")
        reconciler.plan([entry.netns for entry in entries])
        return {
            "dataplane": dict(self._chosen),
            "routers": [self._show(entry) for entry in entries],
        }

    def managed_documents(self) -> list[Document]:
        """Return what was last applied, as documents: the state to keep while nothing is known."""
        return [remembered(record) for record in self._journal.load().values()]

    def statuses(self, entry: Entry) -> list[AssignmentStatus]:
        """Return the status of every assignment of *entry*, in order of declaration."""
        return list(statuses(entry, self._nat_missing))

    def overview(self, names: Iterable[NetnsName]) -> list[Answer]:
        """Return how these routers fare, as far as that is known without asking the kernel."""
        entries = self.reconciler.entries
        return [
            overview(entries[name], self.statuses(entries[name]))
            for name in names
            if name in entries
        ]

    def glance(self, documents: Sequence[Document] | None) -> list[Answer]:
        """Return how all routers fare, as if *documents* were desired (None: that is not known)."""
        shadow = self._shadow()
        if documents is not None:
            shadow.accept(documents)
        shadow.plan()
        told = [overview(each, self.statuses(each)) for each in shadow.entries.values()]
        known = self.reconciler.entries
        self._dataplane.release([each for each in shadow.entries if each not in known])
        return told

    def counts(self) -> Mapping[State, int]:
        """Count the declared assignments by state."""
        found = dict.fromkeys(State, 0)
        for entry in self.reconciler.entries.values():
            for status in statuses(entry, self._nat_missing):
                found[status.overall.state] += 1
        return found

    def _with_others(self, documents: Sequence[Document]) -> list[Document]:
        named = {each.netns for each in documents}
        others = [each for each in self.managed_documents() if each.netns not in named]
        return [*documents, *others]

    def _planned(self, report: Report, entry: Entry) -> Answer:
        """Return a plan, what it risks, and how many open flows it would touch."""
        shown = report_as_data(report, entry, self.scope)
        shown |= self._risks(report, entry)
        adopting = entry.adopting
        if not adopting or report.plan is None or entry.cookie is None:
            return shown
        owed = (*entry.newly_adopting(), *debts(report.plan.changes, {}, adopting))
        adopted = tuple(dict.fromkeys(each for each in owed if each.action is Action.ADOPT))
        revocation = Revocation(entry.netns, entry.cookie, entry.tag, adopted, entry.desired)
        try:
            return shown | {"adopts": self._counted(revocation) if adopted else []}
        except CtherdError as error:
            return shown | {"error": shown["error"] or error.as_data()}

    def _risks(self, report: Report, entry: Entry) -> Answer:
        """Return the changes of a plan with the risk of each, and warnings of all of them."""
        given = [
            change
            for change in (report.plan.changes if report.plan is not None else ())
            if change.after is not None
        ]
        if not given:
            return {}
        warnings = [
            each for change in given for each in risk.warnings(change.key, change.after or ())
        ]
        try:
            if entry.cookie is not None:
                warnings += self._find_trouble(entry.netns, [change.key for change in given])
        except (CtherdError, OSError) as error:
            warnings.append(f"what else is there cannot be read: {error}")
        return {"warnings": warnings}

    def _show(self, entry: Entry) -> Answer:
        evidence = self.evidence_of(entry, thoroughly=True)
        shown = entry_as_data(entry, self.statuses(entry), self.scope, evidence)
        around = self._around(entry)
        if shown["damage"]:
            around.pop("narrowed", None)  # rules are not where they are looked for
        shown["warnings"] += around.pop("warnings", [])
        return shown | {"flows": {}, "foreign": [], "narrowed": []} | around

    def _around(self, entry: Entry) -> Answer:
        if entry.cookie is None:
            return {}
        try:
            live = entry.observed.live if entry.observed is not None else {}
            return self._look_around(entry.netns, live)
        except (CtherdError, OSError) as error:
            return {"unreadable": str(error)}


def remembered(record: Record) -> Document:
    """Return the document that *record* is the memory of."""
    return document(
        record.router,
        record.netns,
        [
            Assignment(
                AssignmentId(f"{key.protocol}/{key.port}/{key.helper}"),
                key.helper,
                key.protocol,
                key.port,
                scope,
                record.on_revoke.get(key, OnRevoke.DETACH),
                key in record.adopting,
            )
            for key, scope in record.managed.items()
        ],
    )


def _in_batches(
    work: Callable[[Sequence[NetnsName]], list[Report]], names: Sequence[NetnsName], tell: Tell
) -> list[Report]:
    reports: list[Report] = []
    for start in range(0, len(names), _BATCH):
        reports += work(names[start : start + _BATCH])
        tell(min(start + _BATCH, len(names)), len(names))
    return reports
