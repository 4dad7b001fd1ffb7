"""The audit: its entries, what a verification finds, and how it is read."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ctherd.authz.audit.chain import AUDIT, SEALED_CHECKPOINT, chain_of, digest_of, key_of, seq_of
from ctherd.authz.audit.entry import AuditEntry, Decision
from ctherd.authz.audit.query import Filters, query
from ctherd.authz.audit.trail import Extension, Trail, begin_trail
from ctherd.authz.audit.verify import Fault, Verdict, verify
from ctherd.authz.caller import Caller
from ctherd.model.router import HostName, ProjectId
from ctherd.signing.canonical import Plain, read, spell
from ctherd.signing.envelope import Signer, Verifier
from ctherd.store.port import Delete, Put, Write
from ctherd.testing.memory_store import MemoryStore

SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
STRANGER = Signer(Ed25519PrivateKey.from_private_bytes(bytes([1] * 32)))
TRUSTED = Verifier({SIGNER.key: SIGNER.public})

ANN = Caller("ann", ProjectId("p1"), frozenset({"reader", "member"}), "keystone")
AGENT = Caller("agent", None, frozenset(), "tls", HostName("net1"))


def entry(number: int = 0, **options: Any) -> AuditEntry:
    fields: dict[str, Any] = {
        "caller": ANN,
        "address": "192.0.2.1",
        "request_id": f"req-{number}",
        "action": "create_router_conntrack_helper",
        "decision": Decision.ALLOWED,
        **options,
    }
    return AuditEntry(**fields)


class Book:
    """A store with chains in it, and the means to tamper with them."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self._writes = 0

    async def write(self, *writes: Write) -> None:
        self._writes += 1
        await self.store.commit([], writes, write_id=str(self._writes))

    async def lengthen(self, trail: Trail, extension: Extension) -> None:
        await self.write(*extension.writes)
        trail.advance(extension)

    async def chain(self, count: int, *, closed: bool = True, seal_every: int = 4) -> str:
        """Write a chain with *count* decisions."""
        trail = await begin_trail(self.store, "server", SIGNER, seal_every=seal_every)
        name = trail.chain
        await self.lengthen(trail, trail.extend([]))
        for number in range(count):
            await self.lengthen(trail, trail.extend([entry(number)]))
        if closed:
            await self.lengthen(trail, trail.seal(closed=True))
        return name

    async def entries(self, chain: str) -> dict[int, bytes]:
        found = await self.store.page(f"{AUDIT}{chain}/")
        return {seq_of(each.key): each.value for each in found}

    async def edit(self, chain: str, seq: int, *, rehash: bool, **fields: Any) -> None:
        """Change an entry; *rehash* links all that follow to it."""
        values = await self.entries(chain)
        values[seq] = _with(values[seq], **fields)
        if rehash:
            for each in range(seq + 1, max(values) + 1):
                values[each] = _with(values[each], previous=digest_of(values[each - 1]))
        await self.write(*(Put(key_of(chain, each), value) for each, value in values.items()))

    async def cut(self, chain: str, *seqs: int) -> None:
        await self.write(*(Delete(key_of(chain, seq)) for seq in seqs))

    async def verdict(self) -> Verdict:
        return await verify(self.store, TRUSTED)


def _with(value: bytes, **fields: Any) -> bytes:
    return spell({**read(value.decode()), **fields}).encode()


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


# -- what is written -------------------------------------------------------------------------------


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


# -- what a verification finds ---------------------------------------------------------------------


def test_whole_chains_are_sound() -> None:
    """Several closed chains, of several starts: nothing to find, and everything is signed."""

    async def scenario() -> None:
        book = Book()
        for count in (0, 1, 3, 4, 9):
            await book.chain(count)
        verdict = await book.verdict()
        assert verdict.findings == []
        assert verdict.chains == 5
        assert (
            verdict.sealed == verdict.entries == (0 + 1 + 3 + 4 + 9) + 5 * 2 + (0 + 0 + 0 + 1 + 2)
        )

    run(scenario())


Tamper = Callable[[Book, str], Awaitable[None]]


async def an_edit(book: Book, chain: str) -> None:
    await book.edit(chain, 2, rehash=False, decision="denied")


async def an_edit_of_the_last(book: Book, chain: str) -> None:
    await book.edit(chain, 8, rehash=False, decision="denied")


async def an_edit_with_all_hashes_counted_anew(book: Book, chain: str) -> None:
    await book.edit(chain, 2, rehash=True, decision="denied")


async def another_spelling(book: Book, chain: str) -> None:
    values = await book.entries(chain)
    await book.write(Put(key_of(chain, 2), values[2] + b" "))


async def no_json(book: Book, chain: str) -> None:
    await book.write(Put(key_of(chain, 2), b"\xff"))


async def a_cut_in_the_middle(book: Book, chain: str) -> None:
    await book.cut(chain, 2, 3)


async def a_cut_start(book: Book, chain: str) -> None:
    await book.cut(chain, 0)


async def a_cut_that_was_closed_up(book: Book, chain: str) -> None:
    values = await book.entries(chain)
    await book.cut(chain, max(values))
    for seq in range(2, max(values)):
        previous = digest_of((await book.entries(chain))[seq - 1])
        moved = _with(values[seq + 1], seq=seq, previous=previous)
        await book.write(Put(key_of(chain, seq), moved))


async def two_entries_exchanged(book: Book, chain: str) -> None:
    values = await book.entries(chain)
    await book.write(Put(key_of(chain, 2), values[3]), Put(key_of(chain, 3), values[2]))


async def a_cut_tail(book: Book, chain: str) -> None:
    last = max(await book.entries(chain))
    await book.cut(chain, last, last - 1)


async def the_whole_chain(book: Book, chain: str) -> None:
    await book.cut(chain, *await book.entries(chain))


async def a_forged_checkpoint(book: Book, chain: str) -> None:
    values = await book.entries(chain)
    seq = max(values)
    checkpoint = read(values[seq].decode())
    sealed = {**read(checkpoint["seal"]["payload"]), "kind": SEALED_CHECKPOINT}
    await book.edit(chain, seq, rehash=False, seal=STRANGER.sign(sealed).as_plain())


async def an_edit_and_a_forged_checkpoint(book: Book, chain: str) -> None:
    await book.edit(chain, 7, rehash=True, decision="denied")
    values = await book.entries(chain)
    seq = max(values)
    when = read(values[seq].decode())["when"]
    stated: Plain = {"chain": chain, "seq": seq - 1, "digest": digest_of(values[seq - 1])}
    sealed = {"kind": SEALED_CHECKPOINT, **stated, "when": when, "closed": True}
    await book.edit(chain, seq, rehash=False, seal=STRANGER.sign(sealed).as_plain())


async def an_older_checkpoint_of_the_same_chain(book: Book, chain: str) -> None:
    values = await book.entries(chain)
    older = next(
        each
        for each in (read(value.decode()) for value in values.values())
        if each["kind"] == "checkpoint"
    )
    await book.edit(
        chain,
        max(values),
        rehash=False,
        seal=older["seal"],
        when=older["when"],
        closed=older["closed"],
    )


async def a_checkpoint_that_says_closed(book: Book, chain: str) -> None:
    values = await book.entries(chain)
    await book.edit(chain, 5, rehash=True, closed=True)
    await book.cut(chain, *range(6, max(values) + 1))


async def an_entry_after_the_end(book: Book, chain: str) -> None:
    values = await book.entries(chain)
    last = max(values)
    added = _with(values[2], seq=last + 1, previous=digest_of(values[last]))
    await book.write(Put(key_of(chain, last + 1), added))


async def a_made_up_chain(book: Book, chain: str) -> None:
    trail = Trail("server", STRANGER, {})
    await book.lengthen(trail, trail.extend([entry()]))


async def a_genesis_of_another_chain(book: Book, chain: str) -> None:
    genesis = (await book.entries(chain))[0]
    await book.write(Put(key_of("20300101", 0), _with(genesis, chain="20300101")))


async def a_key_that_is_none(book: Book, chain: str) -> None:
    await book.write(Put(f"{AUDIT}{chain}/0000000000000002x", b"{}"))


@pytest.mark.parametrize(
    ("tamper", "fault"),
    [
        (an_edit, Fault.EDITED),
        (an_edit_of_the_last, Fault.EDITED),
        (an_edit_with_all_hashes_counted_anew, Fault.EDITED),
        (another_spelling, Fault.EDITED),
        (no_json, Fault.EDITED),
        (a_cut_in_the_middle, Fault.CUT),
        (a_cut_start, Fault.CUT),
        (a_cut_that_was_closed_up, Fault.EDITED),
        (two_entries_exchanged, Fault.EDITED),
        (a_cut_tail, Fault.CUT),
        (the_whole_chain, Fault.CUT),
        (a_forged_checkpoint, Fault.FORGED),
        (an_edit_and_a_forged_checkpoint, Fault.FORGED),
        (an_older_checkpoint_of_the_same_chain, Fault.EDITED),
        (a_checkpoint_that_says_closed, Fault.FORGED),
        (an_entry_after_the_end, Fault.FORGED),
        (a_made_up_chain, Fault.FORGED),
        (a_genesis_of_another_chain, Fault.FORGED),
        (a_key_that_is_none, Fault.CUT),
    ],
)
def test_tampering_is_found(tamper: Tamper, fault: Fault) -> None:
    """Whatever somebody does to a closed chain that a later one vouches for, without the key."""

    async def scenario() -> None:
        book = Book()
        chain = await book.chain(6)
        await book.chain(1)
        await tamper(book, chain)
        verdict = await book.verdict()
        assert not verdict.sound
        assert fault in {each.fault for each in verdict.findings}

    run(scenario())


def test_a_cut_tail_of_the_last_chain_is_found_by_what_it_had_signed() -> None:
    """No later chain is needed where a checkpoint follows the cut."""

    async def scenario() -> None:
        book = Book()
        chain = await book.chain(6)
        await book.cut(chain, 4)
        assert not (await book.verdict()).sound

    run(scenario())


@pytest.mark.parametrize(
    ("kept", "words"), [(8, "covers entries 6 to 7"), (6, "ends with entry 5")]
)
def test_what_no_signature_covers_is_said_to_be_open(kept: int, words: str) -> None:
    """Of a chain that was not closed, and that nobody vouches for yet, the end proves nothing: a
    cut back to the last checkpoint looks the same as if nothing had followed, and is said so.
    """

    async def scenario() -> None:
        book = Book()
        chain = await book.chain(7, closed=False)
        await book.cut(chain, *range(kept, max(await book.entries(chain)) + 1))
        verdict = await book.verdict()
        assert verdict.sound
        (finding,) = verdict.findings
        assert finding.fault is Fault.OPEN
        assert words in finding.words

    run(scenario())


def test_the_next_start_vouches_for_a_chain_that_was_killed() -> None:
    """From then on, its end is signed: nothing of it can be cut or edited any more."""

    async def scenario() -> None:
        book = Book()
        killed = await book.chain(7, closed=False)
        await book.chain(1)
        verdict = await book.verdict()
        assert verdict.findings == []
        assert verdict.sealed == verdict.entries
        await book.cut(killed, max(await book.entries(killed)))
        assert [each.fault for each in (await book.verdict()).findings] == [Fault.CUT]

    run(scenario())


def test_a_start_vouches_for_what_nobody_vouches_for_yet() -> None:
    """After a hundred starts, the genesis still names one chain, and not a hundred."""

    async def scenario() -> None:
        book = Book()
        chains = [await book.chain(1) for _ in range(5)]
        genesis = read((await book.entries(chains[-1]))[0].decode())
        assert list(read(genesis["seal"]["payload"])["cites"]) == [chains[-2]]

    run(scenario())


def test_two_servers_at_once_write_chains_of_their_own() -> None:
    """Neither waits for the other; each is whole."""

    async def scenario() -> None:
        book = Book()
        trails = [await begin_trail(book.store, name, SIGNER) for name in ("one", "two")]
        for number in range(6):
            trail = trails[number % 2]
            await book.lengthen(trail, trail.extend([entry(number)]))
        for trail in trails:
            await book.lengthen(trail, trail.seal(closed=True))
        verdict = await book.verdict()
        assert (verdict.chains, verdict.findings) == (2, [])

    run(scenario())


def test_a_rotated_key_is_trusted_for_what_it_signed() -> None:
    """The verifier needs the keys of all times; without an old one, its chain is not believed."""

    async def scenario() -> None:
        book = Book()
        await book.chain(2)
        trail = await begin_trail(book.store, "server", STRANGER)
        await book.lengthen(trail, trail.extend([entry()]))
        await book.lengthen(trail, trail.seal(closed=True))
        both = Verifier({each.key: each.public for each in (SIGNER, STRANGER)})
        assert (await verify(book.store, both)).findings == []
        assert not (await book.verdict()).sound

    run(scenario())


# -- reading ---------------------------------------------------------------------------------------


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
