"""How far a verification believes chains of the audit: whole, open, killed, of several keys."""

import pytest

from ctherd.authz.audit.trail import begin_trail
from ctherd.authz.audit.verify import Fault, verify
from ctherd.signing.envelope import Verifier
from tests.authz.audit_book import SIGNER, STRANGER, Book, entry, run


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
