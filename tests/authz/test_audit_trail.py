"""What the audit writes: its entries, their copy in the log, and chains of several starts."""

import json
import logging

import pytest

from ctherd.authz.audit.chain import AUDIT, digest_of
from ctherd.authz.audit.entry import Decision
from ctherd.authz.audit.trail import Trail
from ctherd.model.router import ProjectId
from ctherd.signing.canonical import read
from tests.authz.audit_book import SIGNER, Book, entry, run


def test_an_entry_says_who_what_and_why() -> None:
    """Everything that the issue asks for, in one line of canonical JSON."""

    async def scenario() -> None:
        book = Book()
        trail = Trail("server", SIGNER, {}, now=lambda: "2030-01-02T03:04:05.000006Z")
        told = entry(
            7,
            decision=Decision.DENIED,
            rule="rule:create_router_conntrack_helper",
            project=ProjectId("p2"),
            router="r",
            helper="h",
            before=None,
            after={"port": 21},
        )
        extension = trail.extend([told])
        await book.lengthen(trail, extension)
        assert read(extension.writes[1].value.decode()) == {
            "kind": "decision",
            "chain": trail.chain,
            "seq": 1,
            "previous": digest_of(extension.writes[0].value),
            "when": "2030-01-02T03:04:05.000006Z",
            "who": {
                "user": "ann",
                "project": "p1",
                "roles": ["member", "reader"],
                "via": "keystone",
                "host": None,
            },
            "address": "192.0.2.1",
            "request_id": "req-7",
            "action": "create_router_conntrack_helper",
            "decision": "denied",
            "rule": "rule:create_router_conntrack_helper",
            "project": "p2",
            "router": "r",
            "helper": "h",
            "before": None,
            "after": {"port": 21},
        }

    run(scenario())


def test_the_log_has_a_copy_of_what_is_stored(caplog: pytest.LogCaptureFixture) -> None:
    """One JSON object a line, the same bytes; and only when they are stored."""

    async def scenario() -> None:
        book = Book()
        trail = Trail("server", SIGNER, {})
        trail.extend([entry(1)])
        assert not caplog.messages
        await book.lengthen(trail, trail.extend([entry(2), entry(3)]))
        stored = await book.store.page(AUDIT)
        assert caplog.messages == [each.value.decode() for each in stored]
        assert json.loads(caplog.messages[0])["kind"] == "genesis"

    with caplog.at_level(logging.INFO, "ctherd.audit"):
        run(scenario())


def test_a_clock_that_was_set_back_makes_no_entry_older() -> None:
    """Within a chain, time does not run backwards."""
    times = iter(["2030-01-01T00:00:03Z", "2030-01-01T00:00:03Z", "2030-01-01T00:00:01Z"])
    trail = Trail("server", SIGNER, {}, now=lambda: next(times))
    first = trail.extend([entry()])
    trail.advance(first)
    second = trail.extend([entry()])
    assert read(second.writes[0].value.decode())["when"] == "2030-01-01T00:00:03Z"


def test_a_start_vouches_for_what_nobody_vouches_for_yet() -> None:
    """After a hundred starts, the genesis still names one chain, and not a hundred."""

    async def scenario() -> None:
        book = Book()
        chains = [await book.chain(1) for _ in range(5)]
        genesis = read((await book.entries(chains[-1]))[0].decode())
        assert list(read(genesis["seal"]["payload"])["cites"]) == [chains[-2]]

    run(scenario())
