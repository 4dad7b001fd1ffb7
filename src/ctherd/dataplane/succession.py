"""One dataplane in the place of others that served these netns before: made before it is broken.

Whatever was made here by another dataplane bears the same tag, so it is found by that. It shows in
the first observations as damage to repair; the commit that repairs it makes everything in the
present dataplane, and only then removes it from the former one. In between both hold it, which does
no harm: the first assignment to a connection wins, and they are the same. What the present
dataplane refuses is not taken away from the former one.
"""

import errno
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from ctherd.errors import CtherdError, DataplaneError
from ctherd.model.document import NetnsName
from ctherd.model.observation import Observation, Ownership, Tag
from ctherd.model.safe_scope import SafeScope
from ctherd.netlink.dialogue import Dialogue
from ctherd.netlink.transport import Transport
from ctherd.plan.diff import Change, Verb
from ctherd.ports import (
    Capabilities,
    Committed,
    Dataplane,
    Moved,
    Observed,
    ObserveRequest,
    Outcome,
    Transaction,
)
from ctherd.process import ToolMissing

_log: Final = logging.getLogger("ctherd.dataplane")

_TRIES: Final = 8


class HostDataplane(Dataplane, Protocol):
    """A dataplane that also lets others read its netns."""

    def dialogue(self, name: NetnsName) -> Dialogue:
        """Return the dialogue with the kernel of a netns.

        Raises: CtherdError if the netns cannot be opened.
        """

    def transport(self, name: NetnsName) -> Transport | None:
        """Return the kept transport of a netns, None if it is not open."""

    def narrow(self, scope: SafeScope) -> None:
        """Narrow helpers like this from the next observation on.

        Raises: ConfigurationError if this dataplane cannot.
        """


class Predecessor(HostDataplane, Protocol):
    """A dataplane that others can take over from."""

    def is_absent(self, dialogue: Dialogue, tag: Tag) -> bool:
        """Tell, for much less than an observation costs, that nothing with *tag* is in a netns.

        Shape: the netns of *dialogue*; False means that only an observation tells.
        Raises: CtherdError; OSError.
        """


class Left(NamedTuple):
    """What a former dataplane still holds in one netns."""

    name: str
    dataplane: Dataplane
    seen: Observation

    def __str__(self) -> str:
        if self.seen.ownership is Ownership.FOREIGN:
            return f"{self.name} still holds what was made here before: {self.seen.holder}"
        return f"{self.name} still holds what was made here before"


class Succession:
    """A dataplane that takes over from *former* ones, by name, netns by netns."""

    def __init__(self, present: HostDataplane, former: Mapping[str, Predecessor]) -> None:
        self._present = present
        self._former = former
        # The cookies of netns in which nothing of a former dataplane is left.
        self._taken_over: dict[NetnsName, int] = {}
        self._cookies: dict[NetnsName, int] = {}
        self._left: dict[NetnsName, list[Left]] = {}

    # -- ports.Dataplane -------------------------------------------------------------------------

    def capabilities(self) -> Capabilities:
        """Say what the present dataplane can do."""
        return self._present.capabilities()

    def identify(self, names: Sequence[NetnsName]) -> list[int | CtherdError]:
        """Return the cookie of the netns that each name leads to now."""
        fresh = [name for name in names if name not in self._cookies]
        for former in self._former.values() if fresh else ():
            if former.capabilities().guards:
                # First of all: the socket that guards its table may be waiting to be used again.
                former.identify(fresh)
        cookies = self._present.identify(names)
        for name, cookie in zip(names, cookies, strict=True):
            if isinstance(cookie, int):
                self._cookies[name] = cookie
        return cookies

    def observe(self, requests: Sequence[ObserveRequest]) -> list[Observed]:
        """Return what the present dataplane says, and what former ones left."""
        asked = [
            each if self._is_taken_over(each.netns) else each._replace(known_generation=None)
            for each in requests
        ]
        answers = self._present.observe(asked)
        return [
            answer if self._is_taken_over(request.netns) else self._with_left(request, answer)
            for request, answer in zip(requests, answers, strict=True)
        ]

    def commit(self, transactions: Sequence[Transaction]) -> list[Outcome]:
        """Commit to the present dataplane, then remove what former ones left."""
        outcomes = self._present.commit(transactions)
        return [
            self._break(transaction, outcome) if transaction.netns in self._left else outcome
            for transaction, outcome in zip(transactions, outcomes, strict=True)
        ]

    def release(self, names: Iterable[NetnsName]) -> None:
        """Let go of these netns."""
        released = list(names)
        self._present.release(released)
        self._release_former(released)
        for name in released:
            self._cookies.pop(name, None)

    # -- what else is read of a netns ------------------------------------------------------------

    def dialogue(self, name: NetnsName) -> Dialogue:
        """Ask the present dataplane."""
        return self._present.dialogue(name)

    def transport(self, name: NetnsName) -> Transport | None:
        """Ask the present dataplane."""
        return self._present.transport(name)

    def narrow(self, scope: SafeScope) -> None:
        """Ask the present dataplane."""
        self._present.narrow(scope)

    # -- what former dataplanes left -------------------------------------------------------------

    def _is_taken_over(self, name: NetnsName) -> bool:
        return name in self._taken_over and self._taken_over[name] == self._cookies.get(name)

    def _with_left(self, request: ObserveRequest, answer: Observed) -> Observed:
        if not isinstance(answer, Observation):
            return answer
        left = [] if request.tag is None else list(self._look(request, request.tag))
        if not left:
            self._settle(request.netns)
            return answer
        self._left[request.netns] = left
        absent = answer.ownership is Ownership.ABSENT
        return answer._replace(
            ownership=Ownership.OURS if absent else answer.ownership,
            damage=(*answer.damage, *map(str, left)),
        )

    def _look(self, request: ObserveRequest, tag: Tag) -> Iterable[Left]:
        for name, former in self._former.items():
            if self._is_absent(former, request.netns, tag):
                continue
            (seen,) = former.observe([ObserveRequest(request.netns, tag)])
            if isinstance(seen, ToolMissing):
                # Without its programs it was never used here, or nobody can tell.
                _log.warning("%s: not looked for in %s: %s", request.netns, name, seen)
            elif isinstance(seen, CtherdError):
                nothing = Observation(request.netns, 0, Ownership.FOREIGN, holder=str(seen))
                yield Left(name, former, nothing)
            elif isinstance(seen, Observation) and _is_of(request, seen):
                yield Left(name, former, seen)

    def _is_absent(self, former: Predecessor, netns: NetnsName, tag: Tag) -> bool:
        try:
            return former.is_absent(self._present.dialogue(netns), tag)
        except (CtherdError, OSError):
            return False  # an observation says what is wrong

    def _settle(self, name: NetnsName) -> None:
        """Nothing is left of former dataplanes in this netns."""
        self._release_former([name])
        if name in self._cookies:
            self._taken_over[name] = self._cookies[name]

    def _release_former(self, names: Sequence[NetnsName]) -> None:
        for former in self._former.values():
            former.release(names)
        for name in names:
            self._left.pop(name, None)
            self._taken_over.pop(name, None)

    # -- breaking what was made before -----------------------------------------------------------

    def _break(self, transaction: Transaction, outcome: Outcome) -> Outcome:
        if not isinstance(outcome, Committed):
            return outcome
        refused = outcome.refused.keys() | outcome.refused_in.keys()
        for left in self._left[transaction.netns]:
            if refused & left.seen.live.keys():
                continue  # else nobody would have it
            error = remove_all(left.dataplane, transaction.netns, transaction.tag)
            if error is not None:
                return error
        return outcome


def _is_of(request: ObserveRequest, seen: Observation) -> bool:
    """Tell whether what was seen was made here, even if it cannot be changed."""
    if seen.ownership is Ownership.FOREIGN:
        return bool(seen.mark) and seen.mark == request.tag
    return seen.ownership is Ownership.OURS


def remove_all(dataplane: Dataplane, netns: NetnsName, tag: Tag) -> CtherdError | None:
    """Remove everything that bears *tag* from one dataplane; return what keeps us from it."""
    for _ in range(_TRIES):
        (seen,) = dataplane.observe([ObserveRequest(netns, tag)])
        if isinstance(seen, CtherdError):
            return seen
        if not isinstance(seen, Observation) or seen.ownership is Ownership.ABSENT:
            return None
        if seen.ownership is Ownership.FOREIGN:
            return _held(netns, seen.holder)
        deletes = tuple(Change(Verb.DELETE, key, scope) for key, scope in seen.live.items())
        (outcome,) = dataplane.commit(
            [Transaction(netns, tag, seen.generation, deletes, repair=True)]
        )
        if isinstance(outcome, CtherdError):
            return outcome
        if not isinstance(outcome, Moved):
            return None
    return _held(netns, "others keep changing the ruleset")


def _held(netns: NetnsName, words: str) -> DataplaneError:
    return DataplaneError(
        "remove what a former dataplane holds", netns=netns, errno=errno.EBUSY, words=words
    )
