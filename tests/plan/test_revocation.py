"""What a change owes to live flows, row by row, and which flow falls under what."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctherd.model.assignment import (
    ANY,
    AssignmentKey,
    Destinations,
    OnRevoke,
    collapse,
    covers,
    parse_prefix,
)
from ctherd.model.catalog import Protocol
from ctherd.model.debt import Action, Debt
from ctherd.plan.diff import Change, Verb
from ctherd.plan.revocation import Claims, Reached, debts

FTP = AssignmentKey(Protocol.TCP, 21, "ftp")
IRC = AssignmentKey(Protocol.TCP, 6667, "irc")


def scope(*prefixes: str) -> Destinations:
    return collapse(map(parse_prefix, prefixes))


NEAR, FAR, WIDE = scope("192.0.2.0/24"), scope("2001:db8::/32"), scope("192.0.0.0/16")
DETACH, KILL, ADOPT = (Debt(action, FTP, NEAR) for action in Action)

TABLE = [
    # verb, before, after, on_revoke, adopt, owed
    (Verb.DELETE, NEAR, None, OnRevoke.DETACH, False, [DETACH]),
    (Verb.DELETE, NEAR, None, OnRevoke.KILL, True, [KILL]),
    (Verb.DELETE, NEAR, None, OnRevoke.LEAVE, False, []),
    (Verb.FORGET, NEAR, None, OnRevoke.DETACH, False, [DETACH]),
    (Verb.FORGET, NEAR, None, OnRevoke.KILL, False, [KILL]),
    (Verb.REPLACE, NEAR, FAR, OnRevoke.DETACH, False, [DETACH]),
    (Verb.REPLACE, NEAR, WIDE, OnRevoke.KILL, False, []),
    (Verb.REPLACE, NEAR, ANY, OnRevoke.KILL, False, []),
    (Verb.REPLACE, FAR, NEAR, OnRevoke.LEAVE, True, [ADOPT]),
    (Verb.REPLACE, WIDE, NEAR, OnRevoke.LEAVE, True, []),
    (Verb.CREATE, None, NEAR, OnRevoke.KILL, False, []),
    (Verb.CREATE, None, NEAR, OnRevoke.KILL, True, [ADOPT]),
    (Verb.ADOPT, NEAR, NEAR, OnRevoke.KILL, True, []),
    (Verb.CONFLICT, None, NEAR, OnRevoke.KILL, True, []),
]


@pytest.mark.parametrize(("verb", "before", "after", "on_revoke", "adopt", "owed"), TABLE)
def test_what_a_change_owes(
    verb: Verb,
    before: Destinations | None,
    after: Destinations | None,
    on_revoke: OnRevoke,
    adopt: bool,
    owed: list[Debt],
) -> None:
    """Each row of the drawing; what is not recorded is detached."""
    change = Change(verb, FTP, before, after)
    unusual = {} if on_revoke is OnRevoke.DETACH else {FTP: on_revoke}
    assert list(debts([change], unusual, [FTP] if adopt else [])) == owed


def flow(address: str, helper: str = "ftp", port: int = 21, protocol: int = 6) -> Reached:
    return Reached(protocol, port, ip_address(address).packed, helper)


@pytest.mark.parametrize(
    ("given", "live", "claimed"),
    [
        (flow("192.0.2.1"), {}, True),
        (flow("192.0.3.1"), {}, False),
        (flow("2001:db8::1"), {}, False),
        (flow("192.0.2.1", "sip"), {}, False),
        (flow("192.0.2.1", ""), {}, False),
        (flow("192.0.2.1", port=22), {}, False),
        (flow("192.0.2.1", protocol=17), {}, False),
        (flow("192.0.2.1"), {FTP: ANY}, False),
        (flow("192.0.2.1"), {FTP: FAR}, True),
        (flow("192.0.2.1"), {FTP: scope("192.0.2.0/30")}, False),
        (flow("192.0.2.9"), {FTP: scope("192.0.2.0/30")}, True),
        (flow("192.0.2.1"), {IRC: ANY}, True),
    ],
)
def test_whom_a_revocation_concerns(
    given: Reached, live: dict[AssignmentKey, Destinations], claimed: bool
) -> None:
    """Flows of this protocol, port, helper and destination, but not of what is assigned now."""
    assert (Claims([DETACH], live).claim(given) == DETACH) is claimed


def test_whom_an_adoption_concerns() -> None:
    """Flows without a helper that the live assignment would serve."""
    claims = Claims([ADOPT], {FTP: NEAR})
    assert claims.claim(flow("192.0.2.1", "")) == ADOPT
    assert claims.claim(flow("192.0.2.1", "ftp")) is None
    assert claims.claim(flow("192.0.3.1", "")) is None
    assert Claims([ADOPT], {}).debts == ()


def test_a_family_that_the_helper_does_not_serve() -> None:
    """The helper irc exists for IPv4 only, so no IPv6 flow got it from this assignment."""
    debt = Debt(Action.DETACH, IRC, ANY)
    claims = Claims([debt], {})
    assert claims.claim(flow("192.0.2.1", "irc", 6667)) == debt
    assert claims.claim(flow("2001:db8::1", "irc", 6667)) is None


def prefixes() -> st.SearchStrategy[Destinations]:
    """Few enough addresses that things overlap."""
    one = st.builds(
        lambda bits, length: f"10.0.0.{bits >> (32 - length) << (32 - length) & 255}/{length}",
        st.integers(0, 255),
        st.integers(24, 32),
    ) | st.sampled_from(["0.0.0.0/0", "::/0", "2001:db8::/32"])
    return st.lists(one, max_size=4).map(lambda some: scope(*some))


@given(prefixes(), prefixes(), st.integers(0, 255))
def test_what_is_covered_is_inside(wide: Destinations, narrow: Destinations, last: int) -> None:
    """Whoever is in what is covered is in what covers it."""
    address = ip_address(f"10.0.0.{last}")
    inside = [not each or any(address in prefix for prefix in each) for each in (wide, narrow)]
    if covers(wide, narrow):
        assert inside[0] or not inside[1]
    assert covers(wide, wide)
    assert covers(ANY, narrow)
