"""The guard: each option of the policy, their order, and that judging is incremental."""

from collections.abc import Iterable
from dataclasses import fields, replace
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctherd.errors import ConfigurationError
from ctherd.guard.decide import Denial, Guard
from ctherd.guard.policy import Policy, kernel_names
from ctherd.model.assignment import Assignment, AssignmentId
from ctherd.model.catalog import Protocol
from ctherd.model.document import HOST, Document, RouterId, document


def make(helper: str, protocol: Protocol, port: int, *prefixes: str) -> Assignment:
    return Assignment(
        AssignmentId(f"{protocol}/{port}/{helper}"),
        helper,
        protocol,
        port,
        tuple(ip_network(each) for each in prefixes),
    )


FTP = make("ftp", Protocol.TCP, 21)
TFTP = make("tftp", Protocol.UDP, 69)
SIP = make("sip", Protocol.UDP, 5060)
H323 = make("h323", Protocol.TCP, 1720)
RAS = make("RAS", Protocol.UDP, 1719)
ALL = (FTP, TFTP, SIP, H323, RAS)


def denied(
    policy: Policy, assignments: Iterable[Assignment] = ALL, netns: str = "qrouter-1"
) -> dict[str, str]:
    """Return which rule denies which assignment of a new router."""
    found = Guard(policy).denials(document("edge", netns, assignments))
    return {str(each): denial.rule for each, denial in found.items()}


def test_the_default_policy_allows_everything_but_the_host() -> None:
    """Who configures nothing can use every helper in every namespace, not in the host itself."""
    assert denied(Policy()) == {}
    assert denied(Policy(), netns=HOST) == dict.fromkeys([each.id for each in ALL], "allow_host")
    assert denied(Policy(allow_host=True), netns=HOST) == {}


@pytest.mark.parametrize("name", ["h323", "Q.931"])
def test_allowing_a_helper_allows_it_by_any_name(name: str) -> None:
    """The policy and the herd file may each use the alias or the kernel's name."""
    allowed = denied(Policy(allowed_helpers=frozenset({name})))
    assert H323.id not in allowed
    assert allowed[FTP.id] == "allowed_helpers"
    assert (RAS.id in allowed) == (name != "h323")


def test_no_allowed_helper_allows_none() -> None:
    """An empty list is not the same as no list."""
    assert set(denied(Policy(allowed_helpers=frozenset())).values()) == {"allowed_helpers"}


def test_killing_h323_kills_both_of_its_halves_whatever_allows_them() -> None:
    """A kill switch is not outvoted, and it is named before other rules."""
    policy = Policy(allowed_helpers=frozenset({"ftp", "h323"}), kill=frozenset({"h323"}))
    assert denied(policy) == {
        H323.id: "kill",
        RAS.id: "kill",
        TFTP.id: "allowed_helpers",
        SIP.id: "allowed_helpers",
    }


def test_protocols_that_are_not_allowed_are_denied() -> None:
    """Only the protocol counts."""
    policy = Policy(allowed_protocols=frozenset({Protocol.TCP}))
    assert denied(policy) == dict.fromkeys([TFTP.id, SIP.id, RAS.id], "allowed_protocols")


def test_both_ends_of_a_port_range_are_allowed() -> None:
    """Ranges include their ends; what is in none of them is denied."""
    policy = Policy(allowed_ports=((21, 21), (1719, 1720)))
    assert denied(policy) == dict.fromkeys([TFTP.id, SIP.id], "allowed_ports")


@pytest.mark.parametrize(
    ("prefixes", "rules"),
    [
        ((), {"require_destinations"}),
        (("203.0.113.0/24",), set()),
        (("0.0.0.0/0",), {"require_destinations"}),
        (("0.0.0.0/1", "128.0.0.0/1"), {"require_destinations"}),
        (("203.0.113.0/24", "::/0"), {"require_destinations"}),
    ],
)
def test_required_destinations_must_leave_something_out(
    prefixes: tuple[str, ...], rules: set[str]
) -> None:
    """Every address, however it is spelled, is no restriction."""
    policy = Policy(require_destinations=frozenset({"sip"}))
    sip = make("sip", Protocol.UDP, 5060, *prefixes)
    assert set(denied(policy, [FTP, sip]).values()) == rules


@pytest.mark.parametrize(
    ("netns", "allowed"), [("qrouter-1", True), ("QROUTER-1", False), ("qdhcp-1", False)]
)
def test_a_netns_that_no_pattern_allows_is_denied_as_a_whole(netns: str, allowed: bool) -> None:
    """Patterns are case-sensitive, as names of namespaces are."""
    found = denied(Policy(netns_patterns=("x*", "qrouter-?")), netns=netns)
    assert found == ({} if allowed else dict.fromkeys([a.id for a in ALL], "netns_patterns"))


def test_no_pattern_allows_the_host() -> None:
    """The host is governed by allow_host alone, in both directions."""
    policy = Policy(netns_patterns=("host", "*"))
    assert set(denied(policy, netns=HOST).values()) == {"allow_host"}
    assert denied(Policy(netns_patterns=(), allow_host=True), netns=HOST) == {}


def test_those_beyond_the_maximum_are_denied_in_order_of_declaration() -> None:
    """The first N stay; the more telling rule is named where two deny."""
    policy = Policy(max_per_router=2, kill=frozenset({"sip"}))
    assert denied(policy) == {
        SIP.id: "kill",
        H323.id: "max_per_router",
        RAS.id: "max_per_router",
    }
    assert denied(policy, [H323, RAS]) == {}


def test_every_rule_that_can_be_named_is_an_option() -> None:
    """What a status says can be looked up in the configuration."""
    strict = Policy(
        allowed_helpers=frozenset({"ftp", "sip", "h323"}),
        allowed_protocols=frozenset({Protocol.TCP}),
        allowed_ports=((1, 1000),),
        require_destinations=frozenset({"ftp"}),
        kill=frozenset({"RAS"}),
        allow_tls_ports=False,
        allow_adopt_flows=False,
        max_per_router=0,
    )
    more = [
        *ALL,
        make("sane", Protocol.TCP, 6566),
        make("ftp", Protocol.TCP, 22, "192.0.2.1"),
        make("ftp", Protocol.TCP, 990, "192.0.2.1"),
        replace(make("ftp", Protocol.TCP, 24, "192.0.2.1"), adopt_flows=True),
    ]
    named = {
        *denied(strict, more).values(),
        *denied(strict, netns=HOST).values(),
        *denied(Policy(netns_patterns=())).values(),
    }
    deny_nothing = {"scope", "allow_probe"}
    assert named == {option.name for option in fields(Policy)} - deny_nothing


@pytest.mark.parametrize("option", ["allowed_helpers", "require_destinations", "kill"])
def test_a_policy_about_an_unknown_helper_is_refused(option: str) -> None:
    """A kill switch with a typing error must not silently kill nothing."""
    with pytest.raises(ConfigurationError, match="there is no conntrack helper 'spi'"):
        Policy(**{option: frozenset({"spi"})})  # type: ignore[arg-type]


def test_kernel_names_resolve_aliases_on_every_protocol() -> None:
    """An alias means all that is behind it."""
    assert kernel_names(["h323", "ftp"]) == {"Q.931", "RAS", "ftp"}


POLICY = Policy(
    allowed_helpers=frozenset({"ftp", "sip", "h323"}),
    allowed_ports=((1, 4000),),
    max_per_router=3,
    netns_patterns=("q*",),
)


def documents() -> st.SearchStrategy[Document]:
    assignments = st.lists(st.sampled_from(ALL), unique_by=lambda each: each.id)
    netns = st.sampled_from(["q1", "other"])
    return st.builds(document, st.sampled_from(["edge", "core"]), netns, assignments)


@given(st.lists(documents(), max_size=6))
def test_what_a_guard_saw_before_never_changes_its_answer(seen: list[Document]) -> None:
    """Incremental judging is invisible: a guard with a past answers like a new one."""
    guard = Guard(POLICY)
    for each in seen:
        assert guard.denials(each) == Guard(POLICY).denials(each)


def test_of_many_assignments_only_the_changed_one_is_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A router with a thousand assignments pays for the one that changed."""
    guard = Guard(Policy(allowed_ports=((1, 900),)))
    judged: list[int] = []
    judge = guard._judge

    def count(assignment: Assignment) -> Denial | None:
        judged.append(assignment.port)
        return judge(assignment)

    monkeypatch.setattr(guard, "_judge", count)
    many = [make("ftp", Protocol.TCP, port) for port in range(1, 1001)]
    assert len(guard.denials(document("edge", "q1", many))) == 100
    assert len(judged) == 1000
    judged.clear()
    changed = [*many[:949], make("ftp", Protocol.TCP, 950), *many[950:]]
    assert len(guard.denials(document("edge", "q1", changed))) == 100
    assert judged == [950]


def test_an_unchanged_document_gets_the_very_same_answer() -> None:
    """Its reader can tell by identity that nothing changed."""
    guard = Guard(Policy(kill=frozenset({"sip"})))
    first = guard.denials(document("edge", "q1", ALL))
    assert guard.denials(document("edge", "q1", ALL)) is first


def test_a_forgotten_router_is_judged_from_scratch() -> None:
    """A router that left leaves nothing behind, and may come back."""
    guard = Guard(Policy(kill=frozenset({"sip"})))
    first = guard.denials(document("edge", "q1", ALL))
    guard.forget(RouterId("edge"))
    guard.forget(RouterId("never-seen"))
    again = guard.denials(document("edge", "q1", ALL))
    assert again == first
    assert again is not first


def test_a_policy_may_keep_helpers_from_open_connections() -> None:
    """What would reach them is denied, whoever signed it; the others are not."""
    adopting = replace(FTP, adopt_flows=True)
    assert denied(Policy(), (adopting, TFTP)) == {}
    policy = Policy(allow_adopt_flows=False)
    assert denied(policy, (adopting, TFTP)) == {FTP.id: "allow_adopt_flows"}
