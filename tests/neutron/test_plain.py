"""What passes the privilege boundary: the same on both sides, and believed on neither."""

from ipaddress import ip_network
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctherd.errors import (
    Busy,
    ConfigurationError,
    CtherdError,
    DataplaneError,
    InvalidDeclaration,
    NetnsAbsent,
    PrivilegeMissing,
)
from ctherd.model.assignment import AssignmentKey, Destinations
from ctherd.model.catalog import HELPERS, Family
from ctherd.model.debt import Action, Debt
from ctherd.model.document import NetnsName
from ctherd.model.observation import Observation, Ownership, Tag, Unchanged
from ctherd.neutron import plain
from ctherd.plan.diff import Change, Verb
from ctherd.ports import (
    Committed,
    Moved,
    ObserveRequest,
    Refusal,
    Revocation,
    Revoked,
    Settled,
    Transaction,
)
from ctherd.process import ToolMissing

NETNS = NetnsName("qrouter-00000000-0000-4000-8000-000000000000")
TAG = Tag("7f7d50e4-92ef-4404-8926-18ce087805cf.f337641ca472b1f27c30")

KEYS = st.sampled_from(
    [
        AssignmentKey(protocol, port, helper.name)
        for helper in HELPERS
        for protocol in helper.protocols
        for port in (1, 21, 65535)
    ]
)
SCOPES: st.SearchStrategy[Destinations] = st.sampled_from(
    [(), (ip_network("192.0.2.0/24"),), (ip_network("0.0.0.0/0"), ip_network("2001:db8::/32"))]
)
MAYBE = st.none() | SCOPES
LIVE = st.dictionaries(KEYS, SCOPES, max_size=5)
DEBTS = st.builds(Debt, st.sampled_from(Action), KEYS, SCOPES)
CHANGES = st.builds(Change, st.sampled_from(Verb), KEYS, MAYBE, MAYBE, st.booleans())
REFUSALS = st.dictionaries(KEYS, st.builds(Refusal, st.integers(1, 130), st.text()), max_size=3)
NUMBERS = st.integers(0, 2**32 - 1)
FAMILIES = st.dictionaries(
    KEYS.map(lambda key: (key.helper, key.protocol)), st.frozensets(st.sampled_from(Family))
)


def passed(data: Any) -> Any:
    """Return what msgpack makes of it, as oslo.privsep asks it to."""
    packed = msgpack.packb(data, use_bin_type=True, unicode_errors="surrogateescape")
    return msgpack.unpackb(packed, use_list=False, raw=False, strict_map_key=False)


@given(
    st.builds(
        Transaction,
        st.just(NETNS),
        st.just(TAG),
        NUMBERS,
        st.lists(CHANGES, max_size=4).map(tuple),
        st.booleans(),
        st.booleans(),
    )
)
def test_a_transaction_arrives_as_it_was(sent: Transaction) -> None:
    assert plain.transaction_from_plain(passed(plain.transaction_to_plain(sent))) == sent


@given(st.builds(ObserveRequest, st.just(NETNS), st.none() | st.just(TAG), st.none() | NUMBERS))
def test_a_request_arrives_as_it_was(sent: ObserveRequest) -> None:
    assert plain.request_from_plain(passed(plain.request_to_plain(sent))) == sent


@given(st.builds(Revocation, st.just(NETNS), NUMBERS, st.just(TAG), st.tuples(DEBTS), LIVE))
def test_a_revocation_arrives_as_it_was(sent: Revocation) -> None:
    assert plain.revocation_from_plain(passed(plain.revocation_to_plain(sent))) == sent


@given(
    st.builds(
        Observation,
        st.just(NETNS),
        NUMBERS,
        st.sampled_from(Ownership),
        LIVE,
        st.lists(st.text(), max_size=2).map(tuple),
        st.booleans(),
        st.text(),
        st.text(),
        FAMILIES,
    )
    | st.builds(Unchanged, st.just(NETNS), NUMBERS)
)
def test_an_observation_arrives_as_it_was(sent: Observation | Unchanged) -> None:
    assert plain.observed_from_plain(passed(plain.observed_to_plain(sent))) == sent


@given(
    st.builds(
        Committed,
        st.just(NETNS),
        NUMBERS,
        st.booleans(),
        REFUSALS,
        FAMILIES,
        st.dictionaries(
            KEYS,
            st.dictionaries(
                st.sampled_from(Family), st.builds(Refusal, NUMBERS, st.text()), min_size=1
            ),
            max_size=3,
        ),
    )
    | st.just(Moved(NETNS))
)
def test_an_outcome_arrives_as_it_was(sent: Committed | Moved) -> None:
    assert plain.outcome_from_plain(passed(plain.outcome_to_plain(sent))) == sent


@given(
    st.builds(
        Revoked,
        st.just(NETNS),
        NUMBERS,
        st.tuples(
            st.builds(
                Settled,
                DEBTS,
                NUMBERS,
                NUMBERS,
                NUMBERS,
                NUMBERS,
                NUMBERS,
                st.text(),
                st.booleans(),
            )
        ),
        NUMBERS,
    )
)
def test_what_was_revoked_arrives_as_it_was(sent: Revoked) -> None:
    assert plain.revoked_from_plain(passed(plain.revoked_to_plain(sent))) == sent


@pytest.mark.parametrize(
    "sent",
    [
        NetnsAbsent("gone", where=NETNS, cure="wait"),
        Busy("taken"),
        PrivilegeMissing("no", cure="sudo"),
        ConfigurationError("wrong", where="dataplane"),
        DataplaneError("commit", netns=NETNS, errno=1, words="no\nway", cure="c"),
        DataplaneError("commit", netns=NETNS, errno=2),
    ],
)
def test_an_error_arrives_with_its_class_and_all_that_it_says(sent: CtherdError) -> None:
    """Its class says who must act, so it must not become another one on the way."""
    arrived = plain.error_from_plain(passed(plain.error_to_plain(sent)))
    assert type(arrived) is type(sent)
    assert vars(arrived) == vars(sent)
    assert str(arrived) == str(sent)


def test_an_error_of_a_class_that_the_boundary_does_not_know_arrives_as_the_next_of_kin() -> None:
    sent = ToolMissing("iptables-save", cure="install it")
    arrived = plain.error_from_plain(passed(plain.error_to_plain(sent)))
    assert isinstance(sent, type(arrived))
    assert "iptables-save" in str(arrived)


@pytest.mark.parametrize(
    "name",
    ["host", "", "..", "qrouter-../../etc", "qrouter-", "qdhcp-x", "fip-x", "qrouter-a\n", 7, None],
)
def test_only_namespaces_of_routers_can_be_reached(name: object) -> None:
    """Whoever takes over the L3 agent gets no helper into the host, or anywhere else."""
    with pytest.raises(ValueError, match="not the network namespace of a router"):
        plain.netns_from_plain(name)


@pytest.mark.parametrize(
    ("protocol", "port", "helper"),
    [
        ("tcp", 0, "ftp"),
        ("tcp", 65536, "ftp"),
        ("tcp", "21", "ftp"),
        ("icmp", 21, "ftp"),
        ("tcp", 21, "evil\n"),
        ("udp", 21, "ftp"),
    ],
)
def test_only_assignments_that_the_catalog_knows_reach_the_kernel(
    protocol: str, port: object, helper: str
) -> None:
    change = ("create", protocol, port, helper, None, "", False)
    with pytest.raises((ValueError, InvalidDeclaration)):
        plain.transaction_from_plain((NETNS, TAG, 1, [change], False, False))


@pytest.mark.parametrize("tag", ["", 'x" flags', "a" * 81, 5])
def test_only_marks_are_marks(tag: object) -> None:
    with pytest.raises(ValueError, match="not a mark"):
        plain.transaction_from_plain((NETNS, tag, 1, [], False, False))
