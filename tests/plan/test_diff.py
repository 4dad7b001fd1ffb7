"""The truth table of ctherd.plan.diff, every row, and the order and content of its changes."""

from collections.abc import Iterator
from itertools import product

import pytest

from ctherd.model.assignment import ANY, AssignmentKey, Destinations, parse_prefix
from ctherd.model.catalog import Protocol
from ctherd.model.document import NetnsName
from ctherd.model.observation import Observation, Ownership
from ctherd.plan.diff import Change, Standing, Verb, decide, diff

FTP = AssignmentKey(Protocol.TCP, 21, "ftp")
TFTP = AssignmentKey(Protocol.UDP, 69, "tftp")
SIP = AssignmentKey(Protocol.UDP, 5060, "sip")
SCOPED: Destinations = (parse_prefix("203.0.113.0/24"),)

YES, NO, EITHER = (True,), (False,), (True, False)
ABSENT, EQUAL, DIFFERENT, FOREIGN = Standing

# The drawing in plan/diff.py, row by row; "in sync" is its last column.
TABLE = [
    # desired, managed, live, in sync, change
    (YES, EITHER, (ABSENT,), EITHER, Verb.CREATE),
    (YES, YES, (EQUAL,), EITHER, None),
    (YES, NO, (EQUAL,), EITHER, Verb.ADOPT),
    (YES, EITHER, (DIFFERENT,), EITHER, Verb.REPLACE),
    (YES, EITHER, (FOREIGN,), EITHER, Verb.CONFLICT),
    (NO, EITHER, (EQUAL, DIFFERENT), YES, Verb.DELETE),
    (NO, EITHER, (EQUAL, DIFFERENT), NO, None),
    (NO, YES, (ABSENT, FOREIGN), YES, Verb.FORGET),
    (NO, YES, (ABSENT, FOREIGN), NO, None),
    (NO, NO, (ABSENT, FOREIGN), EITHER, None),
]


def cases() -> Iterator[tuple[bool, bool, Standing, bool, Verb | None]]:
    for desired, managed, standing, in_sync, verb in TABLE:
        for case in product(desired, managed, standing, in_sync):
            yield (*case, verb)


def test_the_table_has_every_case_once() -> None:
    """No case is left to chance, none is decided twice."""
    decided = [case[:4] for case in cases()]
    assert sorted(decided) == sorted(product(EITHER, EITHER, Standing, EITHER))


@pytest.mark.parametrize(("desired", "managed", "standing", "in_sync", "verb"), [*cases()])
def test_decide(
    desired: bool, managed: bool, standing: Standing, in_sync: bool, verb: Verb | None
) -> None:
    """Each row says what it says."""
    answer = decide(desired=desired, managed=managed, standing=standing, in_sync=in_sync)
    assert answer is verb


@pytest.mark.parametrize(("desired", "managed", "standing", "in_sync", "verb"), [*cases()])
def test_diff_follows_the_table(
    desired: bool, managed: bool, standing: Standing, in_sync: bool, verb: Verb | None
) -> None:
    """The shortcuts of diff never change what the table decides."""
    live = {
        Standing.ABSENT: {},
        Standing.EQUAL: {FTP: ANY},
        Standing.DIFFERENT: {FTP: SCOPED},
        Standing.FOREIGN: {FTP: ANY},
    }[standing]
    ownership = Ownership.FOREIGN if standing is Standing.FOREIGN else Ownership.OURS
    observed = Observation(NetnsName("q1"), 1, ownership, live)
    changes = diff(
        {FTP: ANY} if desired else {}, {FTP: ANY} if managed else {}, observed, in_sync=in_sync
    )
    assert [change.verb for change in changes] == ([] if verb is None else [verb])


def observe(live: dict[AssignmentKey, Destinations]) -> Observation:
    return Observation(NetnsName("q1"), 1, Ownership.OURS, live)


def test_a_create_of_what_we_made_before_is_lost() -> None:
    """Somebody took it away: the reader shall know that this is a repair."""
    changes = diff({FTP: ANY, SIP: ANY}, {FTP: ANY}, observe({}), in_sync=True)
    assert changes == (
        Change(Verb.CREATE, FTP, None, ANY, lost=True),
        Change(Verb.CREATE, SIP, None, ANY, lost=False),
    )


@pytest.mark.parametrize("others", [{}, {SIP: ANY}])
def test_a_record_with_other_destinations_is_none(
    others: dict[AssignmentKey, Destinations],
) -> None:
    """The agent died between record and commit: what is live as declared is recorded again."""
    desired = {FTP: ANY, **others}
    changes = diff(desired, {FTP: SCOPED, **others}, observe(desired), in_sync=True)
    assert changes == (Change(Verb.ADOPT, FTP, ANY, ANY),)


def test_a_replace_says_from_what_to_what() -> None:
    """Before is what the kernel has, after what was declared."""
    changes = diff({FTP: ANY}, {FTP: ANY}, observe({FTP: SCOPED}), in_sync=True)
    assert changes == (Change(Verb.REPLACE, FTP, SCOPED, ANY),)


def test_what_goes_carries_what_it_was() -> None:
    """DELETE carries what is live, FORGET what was managed: revocation needs the destinations."""
    changes = diff({}, {FTP: ANY, TFTP: SCOPED}, observe({FTP: SCOPED}), in_sync=True)
    assert changes == (
        Change(Verb.DELETE, FTP, SCOPED, None),
        Change(Verb.FORGET, TFTP, SCOPED, None),
    )


def test_adds_precede_removes_in_order_of_declaration() -> None:
    """No packet may cross a gap, and a plan reads like the file."""
    changes = diff({SIP: ANY, FTP: ANY}, {}, observe({TFTP: ANY}), in_sync=True)
    assert [(change.verb, change.key) for change in changes] == [
        (Verb.CREATE, SIP),
        (Verb.CREATE, FTP),
        (Verb.DELETE, TFTP),
    ]
