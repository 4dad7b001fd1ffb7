"""One revocation in one netns, step by step: what was owed to its flows is paid, and read back.

A packet that was under way during the commit makes a flow with the helper when a scan has passed
already. So flows are scanned again until a scan finds none, twice at least and a few times at most.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ctherd.dataplane import flows
from ctherd.dataplane.finding import Finding, FindingKind
from ctherd.model.assignment import AssignmentKey
from ctherd.model.catalog import Protocol
from ctherd.model.debt import Action, Debt
from ctherd.netlink.ctnetlink import Flow, FlowName
from ctherd.netlink.dialogue import Dialogue
from ctherd.plan.revocation import Claims, Reached
from ctherd.ports import Revocation, Revoked, Settled

_LEAST_SCANS: Final = 2
_MOST_SCANS: Final = 8
_ASSIGNS: Final = frozenset(
    (FindingKind.HELPER_FIRST, FindingKind.HELPER_LATER, FindingKind.HELPER_AFTER_NAT)
)

_VOID: Final = "it is assigned again"
_NOT_LIVE: Final = "it is not assigned"
_STILL_COMING: Final = "flows with the helper keep appearing"
_STILL_WITHOUT: Final = "they came back without the helper"
_STUCK: Final = "the kernel takes no helper from a flow that was expected itself"
_NOT_PICKED_UP: Final = "this router does not pick up open connections (nf_conntrack_tcp_loose = 0)"


@dataclass(slots=True)
class Taken:
    """What was done to the flows of one debt.

    Shape: flows by id; *stuck* ones were expected themselves, and the kernel lets such a flow never
    lose its helper.
    """

    flows: dict[bytes, Flow] = field(default_factory=dict)
    expectations: int = 0
    children: dict[bytes, Flow] = field(default_factory=dict)
    stuck: set[bytes] = field(default_factory=set)
    left: int = 0
    why: str = ""
    done: bool = True


@dataclass(slots=True)
class Payment:
    """Pays one revocation.

    Shape: *rivals* finds what others have in the netns that bears on helpers, and is asked only
    where flows were found; *picks_up* tells whether the netns tracks TCP connections that it did
    not see opened.
    """

    dialogue: Dialogue
    revocation: Revocation
    rivals: Callable[[], Iterable[Finding]]
    picks_up: Callable[[], bool]
    claims: Claims = field(init=False)
    scans: int = 0
    taken: dict[Debt, Taken] = field(init=False)
    _rivals: tuple[Finding, ...] | None = None

    def __post_init__(self) -> None:
        self.claims = Claims(self.revocation.owed, self.revocation.live)
        self.taken = {debt: Taken() for debt in self.claims.debts}

    def run(self) -> Revoked:
        """Pay what can be paid.

        Raises: DataplaneError, OSError; then nothing is known, and everything is owed still.
        """
        self._take_helpers()
        self._end_children()
        self._adopt()
        settled = tuple(map(self._settled, self.revocation.owed))
        return Revoked(self.revocation.netns, self.revocation.cookie, settled, self.scans)

    def count(self) -> Mapping[Debt, int]:
        """Count the flows that would be concerned, and change nothing."""
        found = dict.fromkeys(self.revocation.owed, 0)
        for debt, each in (*self._helped().items(), *self._unhelped().items()):
            found[debt] = len(each)
        return found

    # -- finding ---------------------------------------------------------------------------------

    def _helped(self) -> dict[Debt, list[Flow]]:
        debts = [each for each in self.claims.debts if each.action is not Action.ADOPT]
        if not debts:
            return {}
        self.scans += 1
        return self._claimed(flows.with_helper(self.dialogue, debts))

    def _unhelped(self) -> dict[Debt, list[Flow]]:
        debts = [each for each in self.claims.debts if each.action is Action.ADOPT]
        if not debts:
            return {}
        self.scans += 1
        found = flows.without_helper(self.dialogue, debts)
        return self._claimed(each for each in found if each.master is None)

    def _claimed(self, found: Iterable[Flow]) -> dict[Debt, list[Flow]]:
        claimed: dict[Debt, list[Flow]] = {}
        for flow in found:
            debt = self.claims.claim(_reached(flow))
            if debt is not None and flow.id not in self.taken[debt].stuck:
                claimed.setdefault(debt, []).append(flow)
        return claimed

    # -- helpers that are gone -------------------------------------------------------------------

    def _take_helpers(self) -> None:
        if all(each.action is Action.ADOPT for each in self.claims.debts):
            return
        while True:
            found = self._without_rivals(self._helped())
            if not found and self.scans >= _LEAST_SCANS:
                return
            if self.scans >= _MOST_SCANS:
                self._give_up(found)
                return
            self._take(found)

    def _take(self, found: Mapping[Debt, list[Flow]]) -> None:
        if not found:
            return
        before = flows.expectations(self.dialogue)
        for debt, some in found.items():
            self._take_from(some, debt)
        after = flows.expectations(self.dialogue)
        for debt, some in found.items():
            names = {each.name[1:] for each in some}
            gone = (before.get(name, 0) - after.get(name, 0) for name in names)
            self.taken[debt].expectations += sum(max(0, each) for each in gone)

    def _take_from(self, some: Sequence[Flow], debt: Debt) -> None:
        taken = self.taken[debt]
        taken.flows.update((each.id, each) for each in some)
        if debt.action is Action.KILL:
            flows.delete(self.dialogue, some)
            return
        for each in flows.detach(self.dialogue, some):
            del taken.flows[each.id]
            taken.stuck.add(each.id)

    def _give_up(self, found: Mapping[Debt, list[Flow]]) -> None:
        for debt, some in found.items():
            taken = self.taken[debt]
            taken.left, taken.why, taken.done = len(some), _STILL_COMING, False

    def _without_rivals(self, found: dict[Debt, list[Flow]]) -> dict[Debt, list[Flow]]:
        """Leave alone, and report, what somebody else may have assigned."""
        for debt in list(found):
            rival = self._rival(debt.key)
            if rival is not None:
                left = self.taken[debt]
                left.left = len(found.pop(debt))
                left.why = f"cannot be told from those of a foreign rule: {rival}"
        return found

    def _rival(self, key: AssignmentKey) -> Finding | None:
        if self._rivals is None:
            self._rivals = tuple(self.rivals())
        for each in self._rivals:
            same = each.kind in _ASSIGNS and each.helper == key.helper
            if same and each.scope.may_match(key.protocol.value, key.port):
                return each
        return None

    # -- data connections that they let in -------------------------------------------------------

    def _end_children(self) -> None:
        masters = {
            flow.name: debt for debt, taken in self.taken.items() for flow in taken.flows.values()
        }
        if not masters:
            return
        for _ in range(_MOST_SCANS):
            self.scans += 1
            if not self._end_some(_descendants(masters, list(flows.expected(self.dialogue)))):
                return

    def _end_some(self, children: Iterable[tuple[Debt, Flow]]) -> bool:
        """Count *children* and end those that have to end; return whether there were any."""
        doomed = []
        for debt, child in children:
            taken = self.taken[debt]
            taken.children[child.id] = child
            if debt.action is Action.KILL:
                doomed.append(child)
            elif child.helper and not self.claims.keeps(_reached(child)):
                taken.stuck.add(child.id)
        flows.delete(self.dialogue, doomed)
        return bool(doomed)

    # -- connections that were open before the helper came ---------------------------------------

    def _adopt(self) -> None:
        found = self._unhelped()
        if not found:
            return
        for debt in [each for each in found if each.key.protocol is Protocol.TCP]:
            if not self.picks_up():
                taken = self.taken[debt]
                taken.left, taken.why = len(found.pop(debt)), _NOT_PICKED_UP
        for debt, some in found.items():
            flows.delete(self.dialogue, some)
            self.taken[debt].flows.update((each.id, each) for each in some)
        for debt, again in self._unhelped().items():
            if debt in found:
                self.taken[debt].left, self.taken[debt].why = len(again), _STILL_WITHOUT

    def _settled(self, debt: Debt) -> Settled:
        taken = self.taken.get(debt)
        if taken is None:
            return Settled(debt, why=_NOT_LIVE if debt.action is Action.ADOPT else _VOID)
        killed = debt.action is Action.KILL
        return Settled(
            debt,
            len(taken.flows),
            taken.expectations,
            len(taken.children),
            len(taken.children) if killed else 0,
            taken.left + len(taken.stuck),
            taken.why or (_STUCK if taken.stuck else ""),
            taken.done,
        )


def _reached(flow: Flow) -> Reached:
    return Reached(flow.protocol, flow.port, flow.address, flow.helper)


def _descendants(
    masters: Mapping[FlowName, Debt], expected: list[Flow]
) -> Iterator[tuple[Debt, Flow]]:
    """Yield the flows of *expected* that descend from *masters*, and under which debt."""
    known = dict(masters)
    waiting = expected
    while True:
        found = [each for each in waiting if each.master in known]
        if not found:
            return
        for each in found:
            assert each.master is not None
            debt = known[each.master]
            known.setdefault(each.name, debt)
            yield debt, each
        waiting = [each for each in waiting if each not in found]
