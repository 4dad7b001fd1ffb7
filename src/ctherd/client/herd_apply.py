"""A herd file over a server: how it is made the same, router by router.

One router's failure never halts another, and one assignment's none of its neighbours.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from ctherd.client.herd_plan import RouterPlan
from ctherd.client.refusals import Forbidden, ServerAway, TokenRefused
from ctherd.client.routers import Routers, difference
from ctherd.errors import Contended, CtherdError, InvalidDeclaration, NotFound
from ctherd.model.assignment import Assignment
from ctherd.model.status import State
from ctherd.plan.diff import Verb

Told = dict[str, Any]
"""What `-o json` says of one router; see herd_plan."""

_IN_VAIN: Final = {State.DENIED.value, State.CONFLICT.value, State.ERROR.value}


def carry_out(
    plans: Sequence[RouterPlan], routers: Routers, told: Sequence[Told], *, look: bool
) -> None:
    """Make the server equal to *plans*, and add to *told* (of the same order) what became of it.

    Shape: with *look* the statuses of all assignments are added, as the hosts reported them.
    Raises: ServerAway, TokenRefused: it is the same for all of them.
    """
    for plan, answer in zip(plans, told, strict=True):
        try:
            router = _carry_out(plan, routers, answer)
            if look and router:
                _look(routers, router, answer)
        except (ServerAway, TokenRefused):
            raise
        except CtherdError as error:
            answer["error"] = error.as_data()


def _carry_out(plan: RouterPlan, routers: Routers, answer: Told) -> str:
    """Return the id of the router, "" if there is none now."""
    if plan.obstacle is not None:
        return ""
    if plan.placement is None:
        assert plan.existing is not None
        routers.delete(plan.existing.id)
        return ""
    if plan.existing is None:
        answer["id"] = router = routers.create(plan.name, plan.mark, plan.placement)
    else:
        router = plan.existing.id
        if plan.moves:
            routers.place(router, plan.placement)
    _change(plan, router, routers, answer)
    return router


def _change(plan: RouterPlan, router: str, routers: Routers, answer: Told) -> None:
    existing = plan.existing.helpers if plan.existing else {}
    changes = list(plan.changes)
    new = [plan.wanted[each.key] for each in changes if each.verb is Verb.CREATE]
    others = [each for each in changes if each.verb is not Verb.CREATE]
    for number, change in enumerate(others, 1):
        last = not new and number == len(others)
        with _excused(answer, str(change.key)):
            existed = existing[change.key]
            if change.verb is Verb.DELETE:
                routers.remove(router, existed.id, last=last)
            else:
                differs = difference(existed.assignment, plan.wanted[change.key])
                routers.change(router, existed.id, differs, last=last)
    if new:
        _add(router, new, routers, answer)


def _add(router: str, new: Sequence[Assignment], routers: Routers, answer: Told) -> None:
    """Declare all at once: one change for the hosts. If one is refused, find out which."""
    try:
        routers.add(router, new, last=True)
    except (InvalidDeclaration, Contended):
        for number, each in enumerate(new, 1):
            with _excused(answer, str(each.key)):
                routers.add(router, [each], last=number == len(new))


@contextmanager
def _excused(answer: Told, assignment: str) -> Iterator[None]:
    """Let one assignment fail alone."""
    try:
        yield
    except (InvalidDeclaration, Contended, NotFound, Forbidden) as error:
        answer["refused"].append({"assignment": assignment, "reason": error.what})


def _look(routers: Routers, router: str, answer: Told) -> None:
    """Add what the hosts say of the assignments that are not simply true."""
    pending = []
    for key, each in routers.helpers(router).items():
        status, reason = each.told["status"], each.told["status_reason"]
        if status in _IN_VAIN:
            answer["refused"].append({"assignment": str(key), "reason": f"{status}: {reason}"})
        elif status != State.ACTIVE.value:
            pending.append(f"{key}: {status}{reason and f': {reason}'}")
    answer["pending"] = "; ".join(pending) or None
