"""The audit is read: by filters, by pages, and past what cannot be read."""

from collections.abc import Sequence

import pytest

from ctherd.authz.audit.chain import AUDIT, chain_of, key_of, seq_of
from ctherd.authz.audit.entry import Decision
from ctherd.authz.audit.query import Filters, query
from ctherd.authz.audit.trail import Trail
from ctherd.authz.caller import Caller
from ctherd.model.router import HostName, ProjectId
from ctherd.store.port import Put
from tests.authz.audit_book import SIGNER, Book, entry, run

AGENT = Caller("agent", None, frozenset(), "tls", HostName("net1"))


async def ids(book: Book, **wanted: str) -> Sequence[str]:
    found = await query(book.store, Filters(kind="decision", **wanted))
    return [each["request_id"] for each in found.entries]


def test_filters() -> None:
    """By everything that one looks for after an incident."""

    async def scenario() -> None:
        book = Book()
        days = iter(f"2030-01-{day:02}T10:00:00Z" for day in range(1, 30))
        trail = Trail("server", SIGNER, {}, now=lambda: next(days))
        await book.lengthen(trail, trail.extend([]))
        told = [
            entry(1, router="r1", helper="h1"),
            entry(2, caller=AGENT, action="ctherd:report_host", decision=Decision.DENIED),
            entry(3, project=ProjectId("p2"), router="r1"),
            entry(4, caller=None, decision=Decision.DENIED),
        ]
        for each in told:
            await book.lengthen(trail, trail.extend([each]))
        assert await ids(book) == ["req-4", "req-3", "req-2", "req-1"]
        assert await ids(book, user="ann") == ["req-3", "req-1"]
        assert await ids(book, project="p2") == ["req-3"]
        assert await ids(book, project="p1") == ["req-3", "req-1"]
        assert await ids(book, router="r1", helper="h1") == ["req-1"]
        assert await ids(book, decision="denied") == ["req-4", "req-2"]
        assert await ids(book, action="ctherd:report_host") == ["req-2"]
        assert await ids(book, request_id="req-3") == ["req-3"]
        assert await ids(book, since="2030-01-05") == ["req-4", "req-3"]
        assert await ids(book, until="2030-01-04") == ["req-2", "req-1"]
        assert await ids(book, until="2030-01-04T09") == ["req-1"]

    run(scenario())


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_pages_show_each_entry_once(limit: int) -> None:
    """Newest first, over the chains of several starts, until the marker is empty."""

    async def scenario() -> None:
        book = Book()
        for count in (3, 4):
            await book.chain(count)
        seen: list[tuple[str, int]] = []
        marker = ""
        while True:
            page = await query(book.store, Filters(), marker=marker, limit=limit)
            assert len(page.entries) <= limit
            seen += [(each["chain"], each["seq"]) for each in page.entries]
            marker = page.marker
            if not marker:
                break
        stored = await book.store.page(AUDIT, newest_first=True)
        assert seen == [(chain_of(each.key), seq_of(each.key)) for each in stored]

    run(scenario())


def test_an_unreadable_entry_is_shown() -> None:
    """Whoever reads sees that something is wrong there, and the rest nevertheless."""

    async def scenario() -> None:
        book = Book()
        chain = await book.chain(3)
        await book.write(Put(key_of(chain, 2), b"{"), Put(key_of(chain, 3), b'{"who":"x"}'))
        found = await query(book.store, Filters())
        assert [each.get("kind") for each in found.entries].count("unreadable") == 1
        assert await ids(book, user="ann") == ["req-0"]

    run(scenario())
