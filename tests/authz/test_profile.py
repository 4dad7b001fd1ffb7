"""The profile: allow-lists by role and project, destinations, quotas, and the strict preset."""

from ipaddress import ip_network

import pytest

from ctherd.authz.caller import Caller
from ctherd.authz.profile import ALL, RISKY_ROLE, Profile, preset
from ctherd.errors import ConfigurationError
from ctherd.model.assignment import Assignment, AssignmentId
from ctherd.model.catalog import HELPERS, Protocol, names
from ctherd.model.router import ProjectId

OURS, THEIRS = ProjectId("ours"), ProjectId("theirs")
MEMBER = Caller("m", OURS, frozenset({"member", "reader"}), "test")
ADMIN = Caller("a", OURS, frozenset({"admin"}), "test")
TRUSTED = Caller("t", OURS, frozenset({"member", RISKY_ROLE}), "test")


def make(helper: str, protocol: Protocol, *prefixes: str) -> Assignment:
    destinations = tuple(ip_network(each) for each in prefixes)
    return Assignment(AssignmentId("x"), helper, protocol, 1000, destinations)


CATALOG = [make(each.name, protocol) for each in HELPERS for protocol in each.protocols]
H323 = [make("h323", protocol) for protocol in Protocol]
FTP = make("ftp", Protocol.TCP)


def allowed(profile: Profile, who: Caller, project: ProjectId = OURS) -> set[str]:
    """Return the declared names of what *who* may have."""
    return {
        each.helper for each in [*CATALOG, *H323] if profile.refusal(who, project, each) is None
    }


def test_members_may_have_every_helper_by_default() -> None:
    """The whole catalog, any number, any destination."""
    assert allowed(Profile(), MEMBER) == set(names())
    assert Profile() == preset("open")
    assert Profile().quota_per_router is None
    assert Profile().quota_of(OURS) is None


def test_strict_asks_a_role_for_what_opens_much() -> None:
    """pptp, irc, both halves of h323 and snmp, under every name that they have."""
    risky = {"pptp", "irc", "h323", "Q.931", "RAS", "snmp", "snmp_trap"}
    strict = preset("strict")
    assert allowed(strict, MEMBER) == set(names()) - risky
    assert allowed(strict, TRUSTED) == set(names())
    assert allowed(strict, ADMIN) == set(names())


def test_a_preset_takes_options() -> None:
    """What is said beside its name goes before what the name means."""
    made = preset("strict", helpers=frozenset({"ftp"}), quota_per_router=3)
    assert allowed(made, MEMBER) == {"ftp"}
    assert allowed(made, TRUSTED) >= {"ftp", "pptp"}
    assert made.quota_per_router == 3


def test_a_projects_list_stands_instead_of_the_general_one() -> None:
    """It may allow more or less; roles still add to it."""
    profile = Profile(
        helpers=frozenset({"ftp", "sip"}),
        projects={THEIRS: frozenset({"tftp"})},
        roles={"Operator": frozenset({"h323"})},
    )
    operator = Caller("o", OURS, frozenset({"operator"}), "test")
    assert allowed(profile, MEMBER, OURS) == {"ftp", "sip"}
    assert allowed(profile, MEMBER, THEIRS) == {"tftp"}
    assert allowed(profile, operator, THEIRS) == {"tftp", "h323", "Q.931", "RAS"}
    assert allowed(profile, ADMIN, OURS) == {"ftp", "sip"}, "roles were given without admin"


def test_a_refusal_says_the_declared_name_and_the_rule() -> None:
    """The author wrote h323, and reads h323."""
    refused = Profile(helpers=frozenset({"ftp"}), roles={}).refusal(MEMBER, OURS, H323[0])
    assert refused is not None
    assert refused.rule == "profile:helpers"
    assert refused.words == "Conntrack Helper h323 is not allowed"


def test_destinations_may_be_asked_for() -> None:
    """Of the helpers that the operator lists, whoever asks."""
    profile = Profile(require_destinations=frozenset({"ftp", "h323"}))
    refused = profile.refusal(ADMIN, OURS, FTP)
    assert refused is not None
    assert refused.rule == "profile:require_destinations"
    assert profile.refusal(MEMBER, OURS, H323[0]) is not None
    assert profile.refusal(MEMBER, OURS, make("ftp", Protocol.TCP, "192.0.2.0/24")) is None
    assert profile.refusal(MEMBER, OURS, make("tftp", Protocol.UDP)) is None


def test_quotas() -> None:
    """A project's own quota goes before the general one, also if it is none."""
    profile = Profile(quota_per_project=10, quota_of_projects={OURS: 0, THEIRS: None})
    assert profile.quota_of(OURS) == 0
    assert profile.quota_of(THEIRS) is None
    assert profile.quota_of(ProjectId("another")) == 10


@pytest.mark.parametrize(
    "options",
    [
        {"helpers": frozenset({"ftpd"})},
        {"roles": {"member": frozenset({"FTP"})}},
        {"projects": {OURS: frozenset({"x"})}},
        {"require_destinations": frozenset({"x"})},
        {"quota_per_router": -1},
        {"quota_of_projects": {OURS: -1}},
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, object]) -> None:
    """A name that no kernel has, or a quota below nothing, is found at the start."""
    with pytest.raises(ConfigurationError):
        preset("open", **options)


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="open or strict"):
        preset("lax")


def test_all_is_the_catalog() -> None:
    """Nothing is listed twice by hand."""
    assert {each.name for each in HELPERS} == ALL
