"""Which flows a change of assignments concerns: what is owed, and to whom, decided purely.

========================== ===================================================================
change                     owed
========================== ===================================================================
DELETE, FORGET             to flows of *before*: DETACH, or KILL; nothing on LEAVE
REPLACE                    the same to flows of *before*, unless *after* covers it all;
                           ADOPT to flows of *after*, if asked for and *before* does not cover it
CREATE                     ADOPT to flows of *after*, if asked for
ADOPT, CONFLICT            nothing: the kernel did not change
========================== ===================================================================

A debt says what was, and what is live when it is paid may say otherwise: an assignment that came
back, or that kept a part of its destinations, keeps the flows that match it. So the same debt may
be recorded twice, or paid late, and does no harm.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import Final, NamedTuple

from ctherd.model.assignment import AssignmentKey, Destinations, OnRevoke, covers, families_of
from ctherd.model.catalog import Family
from ctherd.model.debt import Action, Debt
from ctherd.model.observation import Live
from ctherd.plan.diff import Change, Verb

_TAKEN: Final = frozenset((Verb.DELETE, Verb.FORGET, Verb.REPLACE))
_GIVEN: Final = frozenset((Verb.CREATE, Verb.REPLACE))
_ACTIONS: Final = {OnRevoke.DETACH: Action.DETACH, OnRevoke.KILL: Action.KILL}


class Reached(NamedTuple):
    """What of a flow decides which assignment it belongs to.

    Shape: *address* and *port* are those that the client addressed, before NAT; *helper* is the
    kernel's name, "" for none.
    """

    protocol: int
    port: int
    address: bytes
    helper: str


def debts(
    changes: Iterable[Change],
    on_revoke: Mapping[AssignmentKey, OnRevoke],
    adopting: Collection[AssignmentKey],
) -> tuple[Debt, ...]:
    """Return what carrying out *changes* will owe to live flows.

    Shape: *on_revoke* is what was recorded of those that go; absent means DETACH.
    """
    return tuple(
        debt for change in changes for debt in _debts(change, on_revoke, change.key in adopting)
    )


def _debts(
    change: Change, on_revoke: Mapping[AssignmentKey, OnRevoke], adopt: bool
) -> Iterator[Debt]:
    verb, key, before, after, _ = change
    if verb in _TAKEN and before is not None and not _covered(before, after):
        action = _ACTIONS.get(on_revoke.get(key, OnRevoke.DETACH))
        if action is not None:
            yield Debt(action, key, before)
    if adopt and verb in _GIVEN and after is not None and not _covered(after, before):
        yield Debt(Action.ADOPT, key, after)


def _covered(these: Destinations, by: Destinations | None) -> bool:
    return by is not None and covers(by, these)


class Claims:
    """Tells which debt a flow falls under, if any.

    Shape: *live* is what the kernel assigns now: a flow that matches it keeps its helper, and only
    a flow that matches it can be adopted.
    """

    def __init__(self, owed: Iterable[Debt], live: Live) -> None:
        self._live = live
        self._by_place: dict[tuple[int, int], list[Debt]] = {}
        self.debts = tuple(each for each in owed if _stands(each, live))
        for debt in self.debts:
            place = debt.key.protocol.number, debt.key.port
            self._by_place.setdefault(place, []).append(debt)

    def claim(self, flow: Reached) -> Debt | None:
        """Return the debt that *flow* falls under."""
        for debt in self._by_place.get((flow.protocol, flow.port), ()):
            if self._falls_under(flow, debt):
                return debt
        return None

    def keeps(self, flow: Reached) -> bool:
        """Tell whether *flow* has the helper that it would get today."""
        return any(
            (key.protocol.number, key.port, key.helper) == (flow.protocol, flow.port, flow.helper)
            and serves(flow.address, key, destinations)
            for key, destinations in self._live.items()
        )

    def _falls_under(self, flow: Reached, debt: Debt) -> bool:
        key = debt.key
        adopt = debt.action is Action.ADOPT
        if flow.helper != ("" if adopt else key.helper):
            return False
        if not serves(flow.address, key, debt.destinations):
            return False
        live = self._live.get(key)
        return adopt is (live is not None and serves(flow.address, key, live))


def _stands(debt: Debt, live: Live) -> bool:
    """Tell whether *debt* can concern any flow, as things are now."""
    now = live.get(debt.key)
    if debt.action is Action.ADOPT:
        return now is not None
    return not _covered(debt.destinations, now)


def serves(address: bytes, key: AssignmentKey, destinations: Destinations) -> bool:
    """Tell whether an assignment of *key* for *destinations* serves *address*."""
    found = ip_address(address)
    family = Family.IPV4 if found.version == 4 else Family.IPV6
    if family not in families_of(key, destinations):
        return False
    return not destinations or any(found in prefix for prefix in destinations)
