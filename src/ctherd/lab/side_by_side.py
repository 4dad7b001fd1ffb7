"""Prove many cases side by side: each waits most of its time for what must not come."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Event
from typing import Final

from ctherd.lab.case import Case
from ctherd.lab.cleanup import interruptible, require_root
from ctherd.lab.proof import Hire, Stopped, prove
from ctherd.lab.result import CaseResult

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 8
"""More would make a machine of few cores so busy that what must come comes late."""

Tell = Callable[[CaseResult], None]
"""Called with each result, when it is there."""


def prove_all(
    cases: Sequence[Case], dataplanes: Sequence[str], hire: Hire, tell: Tell
) -> list[CaseResult]:
    """Prove every case with every dataplane; return the results in the order of the cases.

    SIGINT, SIGTERM and SIGHUP end it: when KeyboardInterrupt or SystemExit is raised, everything
    that it made is gone.
    Raises: PrivilegeMissing, before anything is tried.
    """
    require_root()
    stop = Event()
    with interruptible() as interruption, ThreadPoolExecutor(_AT_ONCE, "lab") as threads:
        try:
            asked = [
                threads.submit(_proven, case, dataplane, hire, stop)
                for case in cases
                for dataplane in dataplanes
            ]
            for each in as_completed(asked):
                tell(each.result())
        finally:
            interruption.held = True
            stop.set()
    return [each.result() for each in asked]


def _proven(case: Case, dataplane: str, hire: Hire, stop: Event) -> CaseResult:
    try:
        return prove(case, dataplane, hire, stop)
    except Stopped:
        raise
    except Exception as error:  # noqa: BLE001 - the top of a worker, which logs the traceback
        _log.exception("%s, %s: the lab itself failed", case, dataplane)
        return CaseResult(case, dataplane, error=f"{type(error).__name__}: {error}")
