"""The policy: the reference's defaults, overrides, and files that cannot be meant."""

from pathlib import Path

import pytest
import yaml
from oslo_policy import policy as oslo

from ctherd.authz.caller import Caller
from ctherd.authz.policy import LOOK_INTERVAL_S, Policy, owned_by, sample_policy
from ctherd.authz.rules import NAMES
from ctherd.errors import ConfigurationError, LocalProtocolError
from ctherd.model.router import HostName, ProjectId
from ctherd.testing.clock import ManualClock

OURS, THEIRS = ProjectId("ours"), ProjectId("theirs")
WRITES = [f"{verb}_router_conntrack_helper" for verb in ("create", "update", "delete")]
READ = "get_router_conntrack_helper"


def caller(*roles: str, project: ProjectId | None = OURS) -> Caller:
    return Caller("somebody", project, frozenset(roles), "test")


def agent(host: str) -> Caller:
    return Caller(f"agent {host}", None, frozenset(), "test", HostName(host))


ADMIN = caller("admin")
MEMBER = caller("member", "reader")
READER = caller("reader")
NOBODY = caller()


@pytest.mark.parametrize(
    ("rule", "who", "owner", "allowed"),
    [
        *((rule, ADMIN, THEIRS, True) for rule in [*WRITES, READ]),
        *((rule, MEMBER, OURS, True) for rule in [*WRITES, READ]),
        *((rule, MEMBER, THEIRS, False) for rule in [*WRITES, READ]),
        *((rule, READER, OURS, False) for rule in WRITES),
        (READ, READER, OURS, True),
        (READ, READER, THEIRS, False),
        *((rule, NOBODY, OURS, False) for rule in [*WRITES, READ]),
        ("create_router", MEMBER, OURS, True),
        ("create_router", MEMBER, THEIRS, False),
        ("create_router", READER, OURS, False),
        ("get_router", READER, OURS, True),
        ("update_router", READER, OURS, False),
        ("delete_router", MEMBER, OURS, True),
        ("delete_router", MEMBER, THEIRS, False),
        ("ctherd:update_placements", MEMBER, OURS, False),
        ("ctherd:update_placements", ADMIN, OURS, True),
        ("ctherd:get_events", READER, OURS, True),
        ("ctherd:get_events", READER, THEIRS, False),
        ("ctherd:get_audit", MEMBER, OURS, False),
        ("ctherd:get_audit", ADMIN, OURS, True),
    ],
)
def test_defaults(rule: str, who: Caller, owner: ProjectId, allowed: bool) -> None:
    """Who may: administrators everything, members their project's, readers to look at it."""
    assert Policy().allows(rule, who, owned_by(owner)) is allowed


def test_an_agent_speaks_for_its_host_alone() -> None:
    """Its own documents, its own reports, the public keys, and nothing of any project."""
    policy = Policy()
    mine, other = {"host": "one"}, {"host": "two"}
    for rule in ("ctherd:watch_host", "ctherd:report_host"):
        assert policy.allows(rule, agent("one"), mine)
        assert not policy.allows(rule, agent("one"), other)
    assert policy.allows("ctherd:get_keys", agent("one"), {})
    assert not policy.allows("ctherd:report_host", ADMIN, mine)


def test_no_override_opens_anything_to_agents(tmp_path: Path) -> None:
    """A rule that is open to everybody means every user; a stolen host token shows no project."""
    path = tmp_path / "policy.yaml"
    path.write_text('"get_router": ""\n')
    policy = Policy(path)
    assert policy.allows("get_router", NOBODY, owned_by(THEIRS))
    assert not policy.allows("get_router", agent("one"), owned_by(THEIRS))


def test_no_project_is_no_project_called_none() -> None:
    """Whoever has no project owns nothing, whatever projects are called."""
    outsider = caller("member", project=None)
    for name in ("None", "", "null"):
        assert not Policy().allows(WRITES[0], outsider, owned_by(ProjectId(name)))


@pytest.mark.parametrize(
    "line",
    [
        '"create_router_conntrack_helper": "rule:admin_or_ext_parent_owner"',
        '"create_router_conntrack_helper": "tenant_id:%(ext_parent:tenant_id)s"',
        '"ext_parent_owner": "@"\n"create_router_conntrack_helper": "rule:ext_parent_owner"',
        '"admin_only": "role:Reader"',
        '"mine": "user_id:somebody"\n"create_router_conntrack_helper": "not rule:context_is_admin '
        'and rule:mine"',
    ],
)
def test_overrides_of_the_reference_hold(tmp_path: Path, line: str) -> None:
    """What one writes in Neutron's policy.yaml for these rules has the same effect here."""
    path = tmp_path / "policy.yaml"
    assert not Policy().allows(WRITES[0], READER, owned_by(OURS))
    path.write_text(line + "\n")
    assert Policy(path).allows(WRITES[0], READER, owned_by(OURS))


def test_a_whole_neutron_policy_is_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Rules for what ctherd has not are named in the log, and harm nothing."""
    path = tmp_path / "policy.yaml"
    path.write_text(
        '"create_network": "rule:shared"\n"get_port": "http://localhost/ask"\n'
        '"delete_router": "role:cleaner"\n"create_subnet": "nonsense"\n'
    )
    policy = Policy(path)
    assert policy.allows("delete_router", caller("cleaner"), owned_by(THEIRS))
    assert not policy.allows("delete_router", ADMIN, owned_by(THEIRS))
    assert "create_network, create_subnet, get_port" in caplog.text


UNMEANT = {
    "not YAML": '"get_router": "',
    "a list": "- get_router\n",
    "a text": "get_router\n",
    "no rule": '"get_router": 5\n',
    "half a rule": '"get_router": "role:admin or nonsense"\n',
    "an unclosed bracket": '"get_router": "(role:admin"\n',
    "an unclosed placeholder": '"get_router": "project_id:%(project_id"\n',
    "a number's placeholder": '"get_router": "role:member or project_id:%(project_id)d"\n',
    "an attribute of a text": '"get_router": "user_id.name:x"\n',
    "an unknown rule": '"get_router": "rule:whoever"\n',
    "a circle": '"get_router": "rule:mine"\n"mine": "rule:get_router"\n',
    "another server": '"get_router": "role:admin or http://localhost:1/ask"\n',
    "another server, around a corner": '"get_router": "rule:a"\n"a": "not https://x/y"\n',
}


@pytest.mark.parametrize("text", UNMEANT.values(), ids=UNMEANT)
def test_a_file_that_cannot_be_meant_stops_the_start(tmp_path: Path, text: str) -> None:
    """The error names the file; nothing is guessed."""
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        Policy(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_stops_the_start(tmp_path: Path) -> None:
    """Who names a file means it."""
    with pytest.raises(ConfigurationError, match="No such file"):
        Policy(tmp_path / "policy.yaml")


@pytest.mark.parametrize("text", ["", "---\n", "# nothing\n"])
def test_an_empty_file_changes_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    assert Policy(path).allows(WRITES[0], MEMBER, owned_by(OURS))


def test_a_change_is_read_again(tmp_path: Path) -> None:
    """Within the interval, without a restart, and also for what was decided before."""
    path = tmp_path / "policy.yaml"
    path.write_text("")
    clock = ManualClock()
    policy = Policy(path, now_s=clock.now_s)
    assert not policy.allows(WRITES[0], READER, owned_by(OURS))
    path.write_text('"create_router_conntrack_helper": "role:reader"\n')
    clock.advance(LOOK_INTERVAL_S)
    assert policy.allows(WRITES[0], READER, owned_by(OURS))


@pytest.mark.parametrize("text", [*UNMEANT.values(), None], ids=[*UNMEANT, "removed"])
def test_a_bad_change_changes_nothing(
    tmp_path: Path, text: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """The rules that held before hold on; the log says so, and once; a good file ends it."""
    path = tmp_path / "policy.yaml"
    path.write_text('"delete_router": "role:cleaner"\n')
    clock = ManualClock()
    policy = Policy(path, now_s=clock.now_s)
    if text is None:
        path.unlink()
    else:
        path.write_text(text)
    for _ in range(3):
        clock.advance(LOOK_INTERVAL_S)
        assert policy.allows("delete_router", caller("cleaner"), owned_by(THEIRS))
        assert not policy.allows("delete_router", ADMIN, owned_by(THEIRS))
    assert policy.trouble
    assert caplog.text.count("hold on") == 1
    path.write_text("# the defaults\n")
    clock.advance(LOOK_INTERVAL_S)
    assert policy.allows("delete_router", ADMIN, owned_by(THEIRS))
    assert not policy.trouble


def test_a_rule_that_does_not_exist_is_our_bug() -> None:
    """A misspelled rule never falls through to a default."""
    with pytest.raises(LocalProtocolError):
        Policy().allows("get_ruoter", ADMIN, owned_by(OURS))


def test_the_sample_is_every_default(tmp_path: Path) -> None:
    """As it is, it changes nothing; uncommented, it says every rule, and changes nothing either."""
    assert yaml.safe_load(sample_policy()) is None
    bare = "\n".join(
        line.removeprefix("#") for line in sample_policy().splitlines() if line.startswith('#"')
    )
    said = yaml.safe_load(bare)
    assert said.keys() == NAMES
    assert all(str(oslo.RuleDefault(name, check).check) != "!" for name, check in said.items())
    path = tmp_path / "policy.yaml"
    path.write_text(bare)
    assert Policy(path).allows(WRITES[0], MEMBER, owned_by(OURS))
    assert not Policy(path).allows(WRITES[0], READER, owned_by(OURS))
