"""Prove one case: the exchange fails without the helper, works with it, and fails once revoked.

Each case gets a router of its own. The helper is assigned and taken away by *hands*, which are
ctherd itself; what they did is judged by the exchange and by the kernel's conntrack, never by what
they say. In the phase "revoked" the session is the one that worked before, held open over it.
"""

import errno
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any, Final, Protocol

from ctherd.errors import CtherdError
from ctherd.lab.case import REPLY_S, Case, ExchangeFailed, Session
from ctherd.lab.conntrack import Conntrack
from ctherd.lab.result import CaseResult, Phase, PhaseResult
from ctherd.lab.topology import Topology
from ctherd.model.assignment import Assignment, AssignmentId
from ctherd.model.catalog import Protocol as L4
from ctherd.model.document import Document, document
from ctherd.service.host_answers import worked

_ROUTER: Final = "lab"
_LOOK_AGAIN_S: Final = 0.005


class Hands(Protocol):
    """ctherd itself, by its real path, with a journal of its own."""

    def apply(self, wanted: Document) -> Mapping[str, Any]:
        """Make the document true and pay what that owes to live flows; return the whole answer."""


Hire = Callable[[str], AbstractContextManager[Hands]]
"""Has hands for the dataplane of that name."""


class NotAssigned(CtherdError):
    """ctherd did not make true what the lab asked for; carries its words."""

    code = "not-assigned"


class Stopped(CtherdError):
    """Somebody wants the lab to end."""

    code = "stopped"


def prove(case: Case, dataplane: str, hire: Hire, stop: Event) -> CaseResult:
    """Carry out all phases of *case*; what fails is told by the result.

    Raises: Stopped, with everything gone, soon after *stop* was set.
    """
    _go_on(stop)
    since_s = time.monotonic()
    result = CaseResult(case, dataplane, missing=case.missing())
    if result.missing:
        return result
    result = replace(result, versions={each.name: each.version() for each in case.needs})
    try:
        with _topology(case) as net, hire(dataplane) as hands, Conntrack.of(net.router) as seen:
            proof = Proof(case, net, hands, seen, stop)
            try:
                proof.run()
            finally:
                result = replace(result, phases=tuple(proof.phases), revoked=tuple(proof.revoked))
    except Stopped:
        raise
    except (CtherdError, OSError) as error:
        result = replace(result, error=f"{type(error).__name__}: {error}")
    return replace(result, took_s=time.monotonic() - since_s)


def _go_on(stop: Event) -> None:
    if stop.is_set():
        raise Stopped("the lab was told to end")


def _topology(case: Case) -> AbstractContextManager[Topology]:
    ports = () if case.own_sockets else (case.port,)
    tcp, udp = (ports, ()) if case.l4 is L4.TCP else ((), ports)
    return Topology.build(tcp_ports=tcp, udp_ports=udp)


@dataclass(frozen=True, slots=True)
class Proof:
    """One case under way: *phases* and *revoked* grow while it runs."""

    case: Case
    net: Topology
    hands: Hands
    conntrack: Conntrack
    stop: Event
    phases: list[PhaseResult] = field(default_factory=list)
    revoked: list[Mapping[str, Any]] = field(default_factory=list)

    def run(self) -> None:
        """See all phases.

        Raises: CtherdError or OSError if the session cannot be had, or ctherd fails; Stopped.
        """
        with self._session() as session:
            self._see(Phase.OFF, session)
        # Only the first packet of a flow can get a helper, and a client may use its port again.
        self.conntrack.forget()
        self._assign()
        with self._session() as session:
            self._see(Phase.ON, session)
            self._revoke()
            self._see(Phase.REVOKED, session)

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with ExitStack() as stack:
            yield _once_free(lambda: stack.enter_context(self.case.open(self.net)))

    def _see(self, phase: Phase, session: Session) -> None:
        _go_on(self.stop)
        case = self.case
        since_s = time.monotonic()
        has_worked, words = _tried(session)
        took_ms = (time.monotonic() - since_s) * 1000
        self.phases.append(
            PhaseResult(
                phase,
                has_worked,
                words,
                took_ms,
                alive=session.alive(),
                flows=self.conntrack.flows(case.helper, case.l4, case.port),
                announced=len(self.conntrack.announced(case.helper)),
                expected=self.conntrack.expected(case.helper),
                handed_on=self.conntrack.handed_on(case.helper, case.l4, case.port),
            )
        )

    def _assign(self) -> None:
        case = self.case
        name = AssignmentId(f"{case.l4}/{case.port}/{case.helper}")
        self._apply(Assignment(name, case.helper, case.l4, case.port))

    def _revoke(self) -> None:
        (router,) = self._apply()["routers"]
        self.revoked.extend(router["revoked"])
        # What was expected before, and announced late.
        self.conntrack.announced("")

    def _apply(self, *wanted: Assignment) -> Mapping[str, Any]:
        answer = self.hands.apply(document(_ROUTER, self.net.router.name, wanted))
        if not worked(dict(answer)):
            raise NotAssigned("; ".join(_refusals(answer)))
        return answer


def _refusals(answer: Mapping[str, Any]) -> Iterator[str]:
    for router in answer["routers"]:
        if router["error"]:
            yield router["error"]["what"]
        for each in (*router["refused"], *router["denied"]):
            yield f"{each['assignment']}: {each['reason']}"
        for each in router["changes"]:
            yield f"{each['change']}: {each['why']}"


def _once_free(open_it: Callable[[], Session]) -> Session:
    """Open a session as soon as the ports of the one before are free.

    A program that another thread is about to start holds a copy of every socket of this process,
    closed or not, from its fork to its exec.
    """
    give_up_s = time.monotonic() + REPLY_S
    while True:
        try:
            return open_it()
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > give_up_s:
                raise
        time.sleep(_LOOK_AGAIN_S)


def _tried(session: Session) -> tuple[bool, str]:
    try:
        return True, session.exchange()
    except ExchangeFailed as error:
        return False, error.what
