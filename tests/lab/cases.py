"""Cases and hands that are wrong in one way each, to see whether the lab notices."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from ctherd.lab.case import Case, ExchangeFailed, Session
from ctherd.lab.exchanges import ftp
from ctherd.lab.proof import Hands
from ctherd.lab.topology import Topology
from ctherd.main.lab import hire
from ctherd.model.document import Document

PASSIVE: Case = next(each for each in ftp.CASES if "PASV" in each.name)


def beginning_with(case: Case, first: Callable[[Topology], object]) -> Case:
    """The same case; *first* is done to the topology before each session."""

    def open_after(net: Topology) -> AbstractContextManager[Session]:
        first(net)
        return case.open(net)

    return replace(case, open=open_after)


@dataclass(frozen=True)
class Acting:
    """A session that does what it is told to, and nothing in between."""

    do: Callable[[], str]
    is_alive: Callable[[], bool] = lambda: True

    def exchange(self) -> str:
        return self.do()

    def alive(self) -> bool:
        return self.is_alive()


def acting(do: Callable[[], str], is_alive: Callable[[], bool] = lambda: True) -> Case:
    """A case without any traffic."""

    @contextmanager
    def open_it(_: Topology) -> Iterator[Session]:
        yield Acting(do, is_alive)

    return replace(PASSIVE, name="acting", needs=(), open=open_it)


def fails() -> str:
    raise ExchangeFailed("nothing came")


@dataclass(frozen=True)
class Forgetful:
    """ctherd's hands, but for what *forgets* says of a document: that is not applied."""

    hands: Hands
    forgets: Callable[[Document], bool]

    def apply(self, wanted: Document) -> Mapping[str, Any]:
        if not self.forgets(wanted):
            return self.hands.apply(wanted)
        return {
            "routers": [
                {
                    "error": None,
                    "refused": [],
                    "denied": [],
                    "changes": [],
                    "revoked": [{"flows": 1, "left": 0, "done": True, "why": ""}],
                }
            ]
        }


def forgetful(
    forgets: Callable[[Document], bool],
) -> Callable[[str], AbstractContextManager[Hands]]:
    """Hire hands that claim to do everything, and forget some of it."""

    @contextmanager
    def hire_them(dataplane: str) -> Iterator[Hands]:
        with hire(dataplane) as hands:
            yield Forgetful(hands, forgets)

    return hire_them
