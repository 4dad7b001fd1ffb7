"""What the reconciler knows of one netns."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from ctherd.errors import CtherdError
from ctherd.guard.decide import Denial
from ctherd.model.assignment import (
    AssignmentId,
    AssignmentKey,
    Destinations,
    OnRevoke,
    within,
)
from ctherd.model.catalog import Family, by_name
from ctherd.model.debt import Action, Debt
from ctherd.model.document import Document, NetnsName, RouterId
from ctherd.model.observation import Live, Observation, Ownership, Tag, Unchanged
from ctherd.plan.diff import Change, Desired, Managed, Verb
from ctherd.plan.plan import Plan
from ctherd.plan.revocation import debts
from ctherd.ports import Committed, Edit, ObserveRequest, Refusal, Revocation, Revoked

_FORGOTTEN: Final = frozenset((Verb.DELETE, Verb.FORGET))


@dataclass(slots=True)
class Entry:
    """One netns: what is wanted there, what we made, what the kernel last said.

    Shape: *document* None means that no document is known: everything of ours goes, once in sync;
    *cookie* is that of the netns that is open, *last_cookie* stays known when it was let go of;
    *settled* is true while nothing has to happen as long as the kernel says nothing changed;
    *refused_in* holds what only some families refuse, and is asked of the others alone;
    *on_revoke* is what was recorded of those of *managed* that are not simply detached, *adopts*
    those that were recorded to reach open flows, *owed* what live flows are owed still, and
    *revoked* what last came of that.
    The mappings are replaced, never changed: wanted, made and live are one and the same object
    where they are equal, which is nearly always.
    """

    netns: NetnsName
    router: RouterId
    tag: Tag | None = None
    recorded_router: RouterId | None = None
    document: Document | None = None
    managed: Managed = field(default_factory=dict)
    on_revoke: Mapping[AssignmentKey, OnRevoke] = field(default_factory=dict)
    adopts: frozenset[AssignmentKey] = frozenset()
    owed: tuple[Debt, ...] = ()
    revoked: Revoked | None = None
    denials: Mapping[AssignmentId, Denial] = field(default_factory=dict)
    desired: Desired = field(default_factory=dict)
    refused: dict[AssignmentKey, Refusal] = field(default_factory=dict)
    refused_in: dict[AssignmentKey, Mapping[Family, Refusal]] = field(default_factory=dict)
    cookie: int | None = None
    last_cookie: int | None = None
    observed: Observation | None = None
    request: ObserveRequest | None = None
    error: CtherdError | None = None
    settled: bool = False

    def want(self, document: Document | None, denials: Mapping[AssignmentId, Denial]) -> None:
        """Take over a new desired state and the guard's decision on it."""
        if document is not self.document or denials != self.denials:
            self._forget_refusals()
        self.document = document
        self.denials = denials
        if document is not None:
            self.router = document.router
        self._choose()

    def retry_refused(self) -> None:
        """Try again what the kernel did not take: a module may have been loaded since."""
        if self.refused or self.refused_in:
            self._forget_refusals()
            self._choose()

    def _forget_refusals(self) -> None:
        self.refused.clear()
        self.refused_in.clear()

    def _choose(self) -> None:
        """Work out what may be asked of the kernel."""
        self.settled = False
        if self.document is None:
            self.desired = {}
        elif not (self.denials or self.refused or self.refused_in):
            self.desired = self.document.desired
        else:
            self.desired = {
                each.key: self._accepted(each.key, each.destinations)
                for each in self.document.assignments.values()
                if each.id not in self.denials and each.key not in self.refused
            }

    def _accepted(self, key: AssignmentKey, destinations: Destinations) -> Destinations:
        """Return the destinations in the families that did not refuse *key*."""
        if key not in self.refused_in:
            return destinations
        return within(destinations, set(by_name(key.helper).families) - self.refused_in[key].keys())

    def see(self, observed: Observation | Unchanged) -> None:
        """Take over what the kernel says."""
        self.error = None
        self.settled = False
        if isinstance(observed, Observation):
            self.observed = observed
            self.request = ObserveRequest(self.netns, self.tag, observed.generation)

    def fail(self, error: CtherdError) -> None:
        """Nothing came of it; what the kernel said before may not be true any more."""
        self.error = error
        self.look_anew()

    def look_anew(self) -> None:
        """Forget what the kernel said."""
        self.observed = None
        self.request = None
        self.settled = False

    def lose(self) -> None:
        """The netns was let go of: only by its cookie is it known when it is opened again."""
        self.look_anew()
        self.cookie = None

    def remember(self, edit: Edit) -> None:
        """Take over what was recorded before a commit."""
        self.tag = edit.tag
        self.recorded_router = edit.router
        self.managed = {**self.managed, **edit.put}
        if self.on_revoke or edit.on_revoke:
            kept = {key: how for key, how in self.on_revoke.items() if key not in edit.put}
            self.on_revoke = {**kept, **edit.on_revoke}
        if self.adopts or edit.adopting:
            self.adopts = self.adopts.difference(edit.put) | edit.adopting
        self.owed += edit.owe

    def settle(self) -> None:
        """The plan was empty, in sync: nothing has to happen until something changes."""
        self.settled = True
        if self.observed is not None and self.observed.ownership is Ownership.OURS:
            # Whatever differed would have been in the plan.
            self.managed = self.desired
            self.observed = self.observed._replace(live=self.desired)

    def take(self, plan: Plan, committed: Committed, *, in_sync: bool) -> None:
        """Take over what a commit did to what the kernel had said, and what it refused."""
        assert self.observed is not None
        self.refused.update(committed.refused)
        self.refused_in.update(committed.refused_in)
        if in_sync and not (committed.refused or committed.refused_in):
            # The plan was all that was missing.
            live = self.managed = self.desired
        else:
            live = self._after(plan.kernel_changes, committed.refused)
        self.see(
            Observation(
                self.netns,
                committed.generation,
                Ownership.OURS if live else Ownership.ABSENT,
                live,
                guarded=committed.guarded,
                families=committed.families or self.observed.families,
            )
        )
        if committed.refused or committed.refused_in:
            self._choose()

    def _after(self, changes: Iterable[Change], refused: Container[AssignmentKey]) -> Live:
        """Return what is live after *changes* without those that were *refused*."""
        live = dict(self.observed.live) if self.observed is not None else {}
        for change in changes:
            if change.after is None or change.key in refused:
                live.pop(change.key, None)
            else:
                live[change.key] = self._accepted(change.key, change.after)
        return live

    def forget(
        self, changes: tuple[Change, ...], refused: Mapping[AssignmentKey, Refusal]
    ) -> list[Edit]:
        """Return what the journal has to forget after a commit, and forget it here."""
        gone = [each.key for each in changes if each.verb in _FORGOTTEN]
        gone += [key for key in refused if key in self.managed]
        if not gone:
            return []
        left = dict(self.managed)
        for key in gone:
            left.pop(key, None)
        self.managed = left
        self.on_revoke = {key: how for key, how in self.on_revoke.items() if key in left}
        self.adopts = self.adopts.difference(gone)
        return (
            [] if self.tag is None else [Edit(self.netns, self.router, self.tag, {}, tuple(gone))]
        )

    # -- what live flows are owed ----------------------------------------------------------------

    @property
    def adopting(self) -> frozenset[AssignmentKey]:
        """What shall reach open flows, as its author has it."""
        return self.document.adopting if self.document is not None else frozenset()

    def edit(
        self, tag: Tag, put: Mapping[AssignmentKey, Destinations], owe: tuple[Debt, ...]
    ) -> Edit:
        """Return the record of *put*, with what its author wants of its flows, and of *owe*."""
        wanted = self.document.on_revoke if self.document is not None else {}
        return Edit(
            self.netns,
            self.router,
            tag,
            put,
            on_revoke={key: wanted[key] for key in put if key in wanted} if wanted else {},
            owe=owe,
            adopting=self.adopting.intersection(put),
        )

    def restated(self) -> Mapping[AssignmentKey, Destinations]:
        """Return what is managed as before, and for whose flows something else was recorded."""
        document = self.document
        if document is None:
            return {}
        if not (self.on_revoke or document.on_revoke or self.adopts or document.adopting):
            return {}
        wanted, recorded = document.on_revoke, self.on_revoke
        moved = self.adopts ^ document.adopting
        return {
            key: scope
            for key, scope in self.managed.items()
            if key in document.desired
            and (key in moved or wanted.get(key) is not recorded.get(key))
        }

    def newly_adopting(self) -> tuple[Debt, ...]:
        """Return what is owed to open flows of what is managed, and did not adopt so far."""
        known = frozenset(self.owed)
        debts = (
            Debt(Action.ADOPT, key, self.desired[key])
            for key in self.adopting - self.adopts
            if key in self.managed and key in self.desired
        )
        return tuple(each for each in debts if each not in known)

    def new_debts(self, changes: tuple[Change, ...]) -> tuple[Debt, ...]:
        """Return what *changes* will owe to live flows, besides what is owed already."""
        adopting = self.adopting
        if not (adopting or [each for each in changes if each.verb is not Verb.CREATE]):
            return ()
        known = frozenset(self.owed)
        return tuple(each for each in debts(changes, self.on_revoke, adopting) if each not in known)

    def revocation(self) -> Revocation | None:
        """Return what there is to pay; None also while it is not known what is live."""
        seen = self.observed
        if not self.owed or self.cookie is None or seen is None:
            return None
        if seen.ownership is Ownership.FOREIGN:
            return None  # what somebody else assigns in our place cannot be told from ours
        return Revocation(self.netns, self.cookie, self.tag, self.owed, seen.live)

    def pay(self, revoked: Revoked) -> list[Edit]:
        """Return what the journal has to strike out, and strike it out here."""
        self.revoked = revoked
        done = {each.debt for each in revoked.settled if each.done}
        paid = tuple(each for each in self.owed if each in done)
        self.owed = tuple(each for each in self.owed if each not in done)
        if not paid or self.tag is None:
            return []
        return [Edit(self.netns, self.router, self.tag, paid=paid)]
