"""What rows of Neutron's database mean, and what becomes of those that mean nothing."""

from collections.abc import Collection
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from neutron.conf.extensions import conntrack_helper as reference

from ctherd.model.assignment import AssignmentKey
from ctherd.model.catalog import Protocol
from ctherd.model.document import NetnsName, RouterId
from ctherd.neutron.desired import Desired, Row, desired
from tests.neutron.rows import row

ROUTER = str(uuid4())
NETNS = NetnsName(f"qrouter-{ROUTER}")


def wanted(*rows: Row, in_force: Collection[AssignmentKey] = ()) -> Desired:
    return desired(RouterId(ROUTER), NETNS, rows, in_force)


def keys(found: Desired) -> set[str]:
    return {str(key) for key in found.document.desired}


def test_a_row_is_an_assignment_for_every_destination() -> None:
    found = wanted(row(ROUTER, "tftp", "udp", 69))
    assert keys(found) == {"udp/69 tftp"}
    assert found.document.netns == NETNS
    assert not found.refused


def test_h323_is_two_helpers_by_its_protocol() -> None:
    """What Neutron's users call h323 is Q.931 over tcp and RAS over udp: both are made."""
    found = wanted(row(ROUTER, "h323", "tcp", 1720), row(ROUTER, "h323", "udp", 1719))
    assert keys(found) == {"tcp/1720 Q.931", "udp/1719 RAS"}
    assert not found.refused


def test_everything_that_the_reference_allows_is_made_but_what_no_kernel_has() -> None:
    """Of Neutron's default list only amanda over tcp is refused, and nothing else suffers."""
    (option,) = reference.conntrack_helper_opts
    allowed = [pair for each in option.default for pair in each.items()]
    rows = [
        row(ROUTER, helper, protocol, 1000 + port)
        for port, (helper, protocol) in enumerate(allowed)
    ]
    found = wanted(*rows)
    assert len(found.document.assignments) == len(rows) - 1
    assert list(found.refused) == [rows[0].id]
    assert "amanda does not speak tcp" in found.refused[rows[0].id]


@pytest.mark.parametrize(
    ("helper", "protocol"),
    [("nonsense", "tcp"), ("ftp\ntftp", "tcp"), ("ftp", "sctp"), ("", "tcp")],
)
def test_what_cannot_be_is_left_out_with_its_reason(helper: str, protocol: str) -> None:
    bad, good = row(ROUTER, helper, protocol, 2121), row(ROUTER)
    found = wanted(bad, good)
    assert list(found.document.assignments) == [good.id]
    assert list(found.refused) == [bad.id]
    assert f"{protocol}/2121" in found.refused[bad.id]


def test_of_two_helpers_for_one_port_the_one_in_force_stays() -> None:
    """A tenant's second helper for a port never takes the place of the first, whatever its id."""
    one, other = row(ROUTER, "ftp", id=f"b{ROUTER[1:]}"), row(ROUTER, "irc", id=f"a{ROUTER[1:]}")
    ftp = AssignmentKey(Protocol.TCP, 21, "ftp")
    assert keys(wanted(one, other, in_force={ftp})) == {"tcp/21 ftp"}
    assert keys(wanted(other, one, in_force={ftp})) == {"tcp/21 ftp"}
    assert keys(wanted(one, other)) == {"tcp/21 irc"}
    assert "tcp/21 has helper ftp already" in wanted(one, other, in_force={ftp}).refused[other.id]


_ROWS = st.lists(
    st.builds(
        lambda helper, protocol, port: row(ROUTER, helper, protocol, port),
        st.sampled_from(["ftp", "h323", "amanda", "Q.931", "sip", "x", "RAS"]),
        st.sampled_from(["tcp", "udp", "dccp"]),
        st.integers(1, 5),
    ),
    max_size=12,
)


@given(_ROWS, st.randoms())
def test_rows_in_any_order_mean_the_same_and_none_is_lost(rows: list[Row], random: object) -> None:
    """Each row is an assignment or refused; the order in which the server tells them is nothing."""
    found = wanted(*rows)
    assert set(found.document.assignments) | set(found.refused) == {each.id for each in rows}
    assert not set(found.document.assignments) & set(found.refused)
    random.shuffle(rows)  # type: ignore[attr-defined]
    assert wanted(*rows) == found
