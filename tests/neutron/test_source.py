"""When the server is asked, what its answers mean, and what a failure does not mean."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

from ctherd.errors import NetnsAbsent
from ctherd.model.assignment import Assignment, AssignmentId
from ctherd.model.catalog import Protocol
from ctherd.model.document import Document, NetnsName, RouterId, document
from ctherd.neutron.desired import Row
from ctherd.neutron.roster import Roster
from ctherd.neutron.source import NeutronSource
from ctherd.neutron.takeover import Takeover
from ctherd.reconcile.entry import Entry
from tests.neutron.rows import row

A, B = RouterId(str(uuid4())), RouterId(str(uuid4()))
AT_A, AT_B = NetnsName(f"qrouter-{A}"), NetnsName(f"qrouter-{B}")


class Enforcer:
    """What a source may ask of the agent; it keeps what is wanted."""

    def __init__(self, remembered: Sequence[Document] = ()) -> None:
        self.accepted = 0
        self.wanted: dict[NetnsName, Document] = {}
        self.entries: dict[NetnsName, Entry] = {}
        self.service: Any = SimpleNamespace(
            managed_documents=lambda: list(remembered), reconciler=self
        )

    def accept(self, documents: Iterable[Document], *, complete: bool = True) -> set[NetnsName]:
        self.accepted += 1
        if complete:
            self.wanted.clear()
        self.wanted |= {each.netns: each for each in documents}
        return set(self.wanted)

    def withdraw(self, names: Iterable[NetnsName]) -> None:
        for each in names:
            self.wanted.pop(each, None)

    def look_everywhere(self) -> None: ...


class Server:
    """Answers from *rows*, unless asked for one of *poisoned* routers."""

    def __init__(self) -> None:
        self.rows: dict[RouterId, list[Row]] = {}
        self.poisoned: set[RouterId] = set()
        self.asked: list[list[RouterId]] = []

    def __call__(self, routers: Sequence[RouterId]) -> Mapping[RouterId, Sequence[Row]]:
        self.asked.append(list(routers))
        if self.poisoned.intersection(routers):
            raise RuntimeError("one row cannot be read")
        return {each: self.rows.get(each, []) for each in routers}


class NothingLeft:
    """A privileged side on which Neutron's extension left nothing."""

    def find_inherited(self, kept: Sequence[str]) -> Any:
        return "answer", []


def remembered(router: RouterId, port: int) -> Document:
    made = Assignment(AssignmentId("x"), "ftp", Protocol.TCP, port)
    return document(router, f"qrouter-{router}", [made])


def ports(wanted: Mapping[NetnsName, Document]) -> dict[NetnsName, set[int]]:
    return {name: {key.port for key in each.desired} for name, each in wanted.items()}


@asynccontextmanager
async def running(
    enforcer: Enforcer, roster: Roster, server: Server, interval_s: float = 3600.0
) -> AsyncIterator[NeutronSource]:
    nothing: Any = NothingLeft()
    source = NeutronSource(roster, server, Takeover(nothing), interval_s)
    source.begin(enforcer)
    task = asyncio.create_task(source.run())
    try:
        yield source
    finally:
        source.close()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.001)


async def test_what_is_remembered_is_wanted_until_the_server_says_otherwise() -> None:
    """Nothing vanishes at a start; the first answer removes what is nobody's wish any more."""
    enforcer, server = Enforcer([remembered(A, 21), remembered(B, 21)]), Server()
    server.poisoned = {A, B}
    server.rows = {A: [row(A, port=2121)]}
    async with running(enforcer, Roster(), server) as source:
        assert not source.in_sync
        await until(lambda: len(server.asked) >= 2)
        assert ports(enforcer.wanted) == {AT_A: {21}, AT_B: {21}}
        server.poisoned.clear()
        await until(lambda: ports(enforcer.wanted) == {AT_A: {2121}})
        assert source.in_sync


async def test_one_router_that_cannot_be_read_does_not_hide_the_others() -> None:
    """A batch that fails is halved, until only what cannot be read is left out."""
    ids = [RouterId(str(uuid4())) for _ in range(8)]
    enforcer, server, roster = Enforcer(), Server(), Roster()
    server.rows = {each: [row(each)] for each in ids}
    server.poisoned = {ids[3]}
    for each in ids:
        roster.lives(each, NetnsName(f"qrouter-{each}"))
    async with running(enforcer, roster, server) as source:
        await until(lambda: len(enforcer.wanted) == 7)
        assert not source.in_sync
        assert source.doubts()["not pulled"] == 1


async def test_everything_is_asked_for_now_and_then() -> None:
    """A push that was lost is made up for by the next interval."""
    enforcer, server, roster = Enforcer(), Server(), Roster()
    roster.lives(A, AT_A)
    async with running(enforcer, roster, server, interval_s=0.02):
        await until(lambda: bool(server.asked))
        server.rows = {A: [row(A)]}
        await until(lambda: ports(enforcer.wanted) == {AT_A: {21}})


async def test_a_router_that_leaves_while_it_is_asked_for_is_not_wanted() -> None:
    enforcer, server, roster = Enforcer(), Server(), Roster()
    server.rows = {A: [row(A)]}

    def leaving(routers: Sequence[RouterId]) -> Mapping[RouterId, Sequence[Row]]:
        roster.leaves(A)
        return server(routers)

    roster.lives(A, AT_A)
    pulled: Any = leaving
    async with running(enforcer, roster, pulled):
        await until(lambda: server.asked == [[A]])
        roster.lives(B, AT_B)
        await until(lambda: len(server.asked) == 2)
        assert AT_A not in enforcer.wanted


async def test_a_router_whose_namespace_is_gone_is_forgotten_unless_the_agent_has_it() -> None:
    """It went to another host while this one was down: nobody says that it left."""
    enforcer, roster = Enforcer([remembered(A, 21), remembered(B, 21)]), Roster()
    roster.lives(B, AT_B)
    server = Server()
    server.rows = {A: [row(A)], B: [row(B)]}
    async with running(enforcer, roster, server) as source:
        await until(lambda: source.in_sync)
        for router, netns in ((A, AT_A), (B, AT_B)):
            entry = enforcer.entries[netns] = Entry(netns, router, document=enforcer.wanted[netns])
            entry.error = NetnsAbsent("no such network namespace")
        source.reconciled([AT_A, AT_B])
        assert list(enforcer.wanted) == [AT_B]
        assert roster.everybody() == [B]


async def test_an_answer_that_is_the_last_one_again_is_the_same_document() -> None:
    """Nothing is looked at for what did not change."""
    enforcer, server, roster = Enforcer(), Server(), Roster()
    server.rows = {A: [row(A)]}
    roster.lives(A, AT_A)
    async with running(enforcer, roster, server):
        await until(lambda: AT_A in enforcer.wanted)
        before = enforcer.wanted[AT_A]
        roster.call_for([A])
        await until(lambda: enforcer.accepted == 3)  # what was remembered, and two answers
        assert enforcer.wanted[AT_A] is before
