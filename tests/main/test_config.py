"""The configuration file: its reference, its defaults, and what it refuses."""

import re
import tomllib
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctherd.authz.profile import PRESETS
from ctherd.errors import ConfigurationError
from ctherd.guard.policy import Policy
from ctherd.main import config
from ctherd.main.config import Config, load_config, parse_config, reference_text
from ctherd.main.options import Endpoint, Wrong
from ctherd.main.server_config import (
    AllowOptions,
    FollowOptions,
    KeystoneSection,
    LimitOptions,
    ServerOptions,
    TlsOptions,
)
from ctherd.model.catalog import Protocol
from ctherd.model.router import ProjectId
from ctherd.model.safe_scope import AntiSpoofing, SafeScope
from ctherd.plan.safety import Limits


def options(made: Any) -> dict[str, Any]:
    """Return the names of all options of *made*, sections as dicts."""
    return {each.name: section(getattr(made, each.name)) for each in fields(made)}


def section(value: Any) -> Any:
    if isinstance(value, dict):
        return named(value)
    return options(value) if is_dataclass(value) and not isinstance(value, Endpoint) else None


def named(table: dict[str, Any]) -> dict[str, Any]:
    return {
        name: named(value) if isinstance(value, dict) else None for name, value in table.items()
    }


def test_the_reference_has_every_option_and_no_other() -> None:
    """What can be configured is documented, and what is documented exists."""
    assert named(tomllib.loads(reference_text())) == options(Config())


def test_the_reference_has_every_option_at_its_default() -> None:
    """To copy the reference changes nothing; so does an empty file."""
    assert parse_config(reference_text(), "reference.toml") == Config()
    assert parse_config("", "empty.toml") == Config()


def test_each_option_of_the_reference_is_explained_above_it() -> None:
    """No option or section stands without a comment line right before it."""
    lines = reference_text().splitlines()
    unexplained = [
        line
        for before, line in zip(["", *lines], lines, strict=False)
        if re.match(r"[a-z\[]", line) and not before.startswith("# ")
    ]
    assert unexplained == []


def test_every_option_is_taken_over() -> None:
    """A file with nothing at its default gives a configuration with nothing at its default."""
    made = parse_config(
        """
        file = "/h.yaml"
        state_dir = "/s"
        netns_dir = "/n"
        log_format = "json"
        log_level = "debug"
        dataplane = "iptables-nft"
        dataplanes = ["iptables-nft", "nftables"]
        own_table = false
        sweep_interval_s = 5
        metrics = "[::1]:80"
        [max_removals]
        count = 0
        share = 1
        [policy]
        allowed_helpers = ["ftp", "h323"]
        allowed_protocols = ["tcp"]
        allowed_ports = [21, "5000-5999"]
        netns_patterns = ["qrouter-*"]
        allow_host = true
        max_per_router = 10
        require_destinations = ["sip"]
        kill = ["irc"]
        allow_tls_ports = false
        allow_adopt_flows = false
        allow_probe = false
        [policy.scope]
        related = true
        lowest_ports = {sip = 10000}
        anti_spoofing = "loose"
        not_from = ["qg-*", "eth0"]
        [follow]
        server = "https://s:1"
        host = "me"
        token_file = "/t"
        certificate = "/c"
        key = "/k"
        ca = "/a"
        server_keys = "/sk"
        [server]
        listen = "0.0.0.0:80"
        state_dir = "/ss"
        plain_http = true
        identity = "keystone"
        policy_file = "/p"
        profile = "strict"
        default_host = "me"
        move_wait_s = 1
        [server.tls]
        certificate = "/sc"
        key = "/sk"
        client_ca = "/ca"
        [server.allow]
        helpers = ["ftp"]
        require_destinations = ["sip"]
        quota_per_router = 1
        quota_per_project = 2
        [server.allow.roles]
        operator = ["sip"]
        [server.allow.projects]
        blue = []
        [server.allow.quota_of_projects]
        blue = 3
        red = "unlimited"
        [server.limits]
        body_bytes = 2048
        body_s = 1
        request_s = 2
        wait_s = 3
        in_flight = 4
        per_caller = 5
        [server.keystone]
        remember_s = 6
        [server.keystone.authtoken]
        auth_url = "http://k:5000"
        http_connect_timeout = 3
        """,
        "all.toml",
    )
    assert made == Config(
        file=Path("/h.yaml"),
        state_dir=Path("/s"),
        netns_dir=Path("/n"),
        log_format="json",
        log_level="debug",
        dataplane="iptables-nft",
        dataplanes=("iptables-nft", "nftables"),
        own_table=False,
        sweep_interval_s=5.0,
        metrics=Endpoint("::1", 80),
        max_removals=Limits(count=0, share=1.0),
        policy=Policy(
            allowed_helpers=frozenset({"ftp", "h323"}),
            allowed_protocols=frozenset({Protocol.TCP}),
            allowed_ports=((21, 21), (5000, 5999)),
            netns_patterns=("qrouter-*",),
            allow_host=True,
            max_per_router=10,
            require_destinations=frozenset({"sip"}),
            kill=frozenset({"irc"}),
            allow_tls_ports=False,
            allow_adopt_flows=False,
            allow_probe=False,
            scope=SafeScope(True, {"sip": 10000}, AntiSpoofing.LOOSE, ("qg-*", "eth0")),
        ),
        follow=FollowOptions(
            server="https://s:1",
            host="me",
            token_file=Path("/t"),
            certificate=Path("/c"),
            key=Path("/k"),
            ca=Path("/a"),
            server_keys=Path("/sk"),
        ),
        server=ServerOptions(
            listen=Endpoint("0.0.0.0", 80),
            state_dir=Path("/ss"),
            plain_http=True,
            identity="keystone",
            policy_file=Path("/p"),
            profile="strict",
            default_host="me",
            move_wait_s=1.0,
            tls=TlsOptions(Path("/sc"), Path("/sk"), Path("/ca")),
            allow=AllowOptions(
                helpers=frozenset({"ftp"}),
                require_destinations=frozenset({"sip"}),
                quota_per_router=1,
                quota_per_project=2,
                roles={"operator": frozenset({"sip"})},
                projects={ProjectId("blue"): frozenset()},
                quota_of_projects={ProjectId("blue"): 3, ProjectId("red"): None},
            ),
            limits=LimitOptions(2048, 1.0, 2.0, 3.0, 4, 5),
            keystone=KeystoneSection(6.0, {"auth_url": "http://k:5000", "http_connect_timeout": 3}),
        ),
    )
    defaults = Config()
    assert all_differ(made, defaults)


def all_differ(made: Any, defaults: Any) -> bool:
    pairs = [(getattr(made, each.name), getattr(defaults, each.name)) for each in fields(made)]
    return all(
        all_differ(one, other)
        if is_dataclass(other) and not isinstance(other, Endpoint)
        else one != other
        for one, other in pairs
    )


def test_the_profile_of_tenants_is_the_preset_with_exceptions() -> None:
    """What is not said is as the profile has it; what is said goes before it."""
    strict = ServerOptions(profile="strict")
    assert strict.tenants_profile() == PRESETS["strict"]
    allow = AllowOptions(helpers=frozenset({"irc"}), quota_per_router=3)
    made = replace(strict, allow=allow).tenants_profile()
    assert made.helpers == {"irc"}
    assert made.quota_per_router == 3
    assert made.roles == PRESETS["strict"].roles


@pytest.mark.parametrize(
    ("text", "option", "allowed"),
    [
        ("stat_dir = '/x'", "stat_dir", "did you mean state_dir?"),
        ("zzz = 1", "zzz", "there are file, state_dir"),
        ("[policy]\nkil = []", "policy.kil", "did you mean kill?"),
        ("[polycy]", "polycy", "did you mean policy?"),
        ("policy = 1", "policy", "its options are allowed_helpers"),
        ("file = 1", "file", "write it in quotes"),
        ("file = 'herd.yaml'", "file", "start it with /"),
        ("log_format = 'xml'", "log_format", "choose text or json"),
        ("log_level = ['info']", "log_level", "choose debug or info"),
        ("own_table = 'yes'", "own_table", "write true or false"),
        ("own_table = 1", "own_table", "write true or false"),
        ("sweep_interval_s = 0", "sweep_interval_s", "write a number from 0.1 to 86400"),
        ("sweep_interval_s = true", "sweep_interval_s", "write a number"),
        ("sweep_interval_s = nan", "sweep_interval_s", "write a number"),
        ("sweep_interval_s = inf", "sweep_interval_s", "write a number"),
        ("metrics = 'localhost'", "metrics", "127.0.0.1:9697"),
        ("metrics = 'localhost:80'", "metrics", "IPv4 or IPv6 address"),
        ("metrics = '127.0.0.1:0'", "metrics", "127.0.0.1:9697"),
        ("metrics = '127.0.0.1:65536'", "metrics", "127.0.0.1:9697"),
        ("[max_removals]\ncount = 1.5", "max_removals.count", "write a whole number"),
        ("[max_removals]\ncount = -1", "max_removals.count", "write a whole number"),
        ("[max_removals]\nshare = 30", "max_removals.share", "write a number from 0 to 1"),
        ("[policy]\nallowed_helpers = 'ftp'", "policy.allowed_helpers", "square brackets"),
        ("[policy]\nallowed_helpers = ['FTP']", "policy.allowed_helpers", "choose ftp or tftp"),
        ("[policy]\nkill = [1]", "policy.kill", "choose ftp or tftp"),
        ("[policy.scope]\nanti_spoofing = true", "policy.scope.anti_spoofing", "off or loose"),
        ("[policy.scope]\nnot_from = ['*']", "policy.scope.not_from", "qg-*"),
        ("[policy.scope]\nlowest_ports = 1", "policy.scope.lowest_ports", "sip = 10000"),
        ("[policy.scope]\nlowest_ports = {spi = 1}", "policy.scope.lowest_ports.spi", "ftp or"),
        ("[policy.scope]\nlowest_ports = {sip = 0}", "policy.scope.lowest_ports.sip", "1 to"),
        ("[policy]\nallowed_protocols = ['icmp']", "policy.allowed_protocols", "tcp or udp"),
        ("[policy]\nallowed_ports = [0]", "policy.allowed_ports", "between 1 and 65535"),
        ("[policy]\nallowed_ports = ['9-1']", "policy.allowed_ports", "between 1 and 65535"),
        ("[policy]\nallowed_ports = ['21']", "policy.allowed_ports", "between 1 and 65535"),
        ("[policy]\nallowed_ports = [true]", "policy.allowed_ports", "between 1 and 65535"),
        ("[policy]\nmax_per_router = 'none'", "policy.max_per_router", "whole number"),
        ("[server]\nidentity = 'x'", "server.identity", "none or tokens or keystone"),
        ("[server]\nlisten = ''", "server.listen", "127.0.0.1:9697"),
        ("[server.allow.roles]\nx = 'ftp'", "server.allow.roles.x", "square brackets"),
        ("[server.allow.projects]\nx = ['FTP']", "server.allow.projects.x", "choose ftp"),
        ("[server.allow]\nroles = 1", "server.allow.roles", "NAME = VALUE"),
        ("[server.keystone.authtoken]\nx = []", "server.keystone.authtoken.x", "write a text"),
        ("[policy]\nnetns_patterns = '*'", "policy.netns_patterns", "square brackets"),
    ],
)
def test_what_is_wrong_is_named_with_file_option_and_what_is_allowed(
    text: str, option: str, allowed: str
) -> None:
    """The operator can mend the file from the message alone."""
    with pytest.raises(ConfigurationError) as caught:
        parse_config(text, "c.toml")
    assert caught.value.where == "c.toml"
    assert caught.value.what.startswith(f"{option}: ")
    assert allowed in caught.value.cure


def test_broken_toml_is_a_configuration_error_with_its_line() -> None:
    """The parser's own words tell where."""
    with pytest.raises(ConfigurationError, match=r"c\.toml: this is not TOML: .*line 2"):
        parse_config("own_table = true\nfile = = 1\n", "c.toml")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    )
)
def test_no_value_crashes_any_option(value: object) -> None:
    """Whatever TOML can say, the answer is a value or a ConfigurationError."""
    for name in options(Config()):
        try:
            config._CONFIG({name: value})
        except Wrong as wrong:
            assert wrong.option.split(".")[0] == name


def test_a_file_that_is_named_must_exist(tmp_path: Path) -> None:
    """Only the default path may be absent: then there are defaults."""
    missing = tmp_path / "c.toml"
    with pytest.raises(ConfigurationError, match="No such file") as caught:
        load_config(missing)
    assert caught.value.where == str(missing)


def test_without_a_path_the_default_file_is_read_if_it_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Absent means defaults; present means that it counts; unreadable is an error."""
    path = tmp_path / "ctherd.toml"
    monkeypatch.setattr(config, "DEFAULT_PATH", path)
    assert load_config() == Config()
    path.write_text("own_table = false\n")
    assert load_config() == Config(own_table=False)
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_config()
    path.unlink()
    path.mkdir()
    with pytest.raises(ConfigurationError, match="Is a directory"):
        load_config()
