"""Whatever somebody without the key does to a chain of the audit, a verification finds it."""

from collections.abc import Awaitable, Callable

import pytest

from ctherd.authz.audit.chain import AUDIT, SEALED_CHECKPOINT, digest_of, key_of
from ctherd.authz.audit.trail import Trail
from ctherd.authz.audit.verify import Fault
from ctherd.signing.canonical import Plain, read
from ctherd.store.port import Put
from tests.authz.audit_book import STRANGER, Book, entry, run, with_fields

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
        moved = with_fields(values[seq + 1], seq=seq, previous=previous)
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
    added = with_fields(values[2], seq=last + 1, previous=digest_of(values[last]))
    await book.write(Put(key_of(chain, last + 1), added))


async def a_made_up_chain(book: Book, chain: str) -> None:
    trail = Trail("server", STRANGER, {})
    await book.lengthen(trail, trail.extend([entry()]))


async def a_genesis_of_another_chain(book: Book, chain: str) -> None:
    genesis = (await book.entries(chain))[0]
    await book.write(Put(key_of("20300101", 0), with_fields(genesis, chain="20300101")))


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
