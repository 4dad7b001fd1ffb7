"""What is shipped beside the code: the sample of options, the filters of rootwrap, entry points."""

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from sysconfig import get_path

import pytest
from oslo_config import cfg, generator
from oslo_rootwrap import wrapper

from ctherd.errors import ConfigurationError
from ctherd.neutron import options

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "packaging/neutron"


@pytest.fixture
def conf() -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    conf.register_opt(cfg.StrOpt("state_path", default="/var/lib/neutron"))
    options.register(conf)
    conf([])
    return conf


def test_the_sample_is_what_the_generator_prints(tmp_path: Path) -> None:
    """`oslo-config-generator --namespace ctherd` writes packaging/neutron/ctherd.conf.sample."""
    fresh = tmp_path / "sample"
    generator.main(["--namespace", "ctherd", "--output-file", str(fresh)])
    assert fresh.read_text() == (SHIPPED / "ctherd.conf.sample").read_text()


def test_the_documentation_shows_the_sample() -> None:
    """Whoever reads docs/neutron.md sees every option as it is."""
    sample = (SHIPPED / "ctherd.conf.sample").read_text()
    section = sample[sample.index("[ctherd]") :].rstrip()
    assert section in (ROOT / "docs/neutron.md").read_text()


def test_the_entry_points_are_there() -> None:
    """Neutron finds the extension by its name, and loads it without a process of its own."""
    (found,) = entry_points(group="neutron.agent.l3.extensions", name="ctherd")
    assert found.load().__name__ == "CtherdAgentExtension"


def test_the_defaults_are_those_of_ctherd(conf: cfg.ConfigOpts) -> None:
    config = options.configuration(conf)
    assert config.state_dir == Path("/var/lib/neutron/ctherd")
    assert config.netns_dir == Path("/run/netns")
    assert config.dataplane == "auto"
    assert config.own_table
    assert config.policy.allowed_helpers is None
    assert not config.policy.kill


def test_a_policy_of_helpers_is_taken_over(conf: cfg.ConfigOpts) -> None:
    conf.set_override("allowed_helpers", ["ftp", "h323"], "ctherd")
    conf.set_override("deny", ["ftp"], "ctherd")
    conf.set_override("max_per_router", 3, "ctherd")
    policy = options.configuration(conf).policy
    assert policy.allowed_helpers == frozenset({"ftp", "h323"})
    assert policy.kill == {"ftp"}
    assert policy.max_per_router == 3


def test_a_helper_that_there_is_not_is_an_error_of_configuration(conf: cfg.ConfigOpts) -> None:
    """A kill switch with a typing error must not be taken for one that kills."""
    conf.set_override("deny", ["fpt"], "ctherd")
    with pytest.raises(ConfigurationError, match="fpt"):
        options.configuration(conf)


def test_rootwrap_lets_our_daemon_be_started() -> None:
    """Where Neutron's own daemons are started by neutron-rootwrap, ours needs no filter."""
    context = "ctherd.neutron.privileged.context"
    command = ["privsep-helper", "--privsep_context", context, "--privsep_sock_path", "/tmp/x"]
    found = wrapper.match_filter(wrapper.load_filters([]), command, [get_path("scripts")])
    assert found.run_as == "root"


def test_ctherd_without_the_extra_never_imports_neutron() -> None:
    """Only Neutron loads the room: every other module comes without it and without oslo.privsep."""
    script = """
import importlib, pkgutil, sys
import ctherd
for module in pkgutil.walk_packages(ctherd.__path__, "ctherd."):
    if not module.name.endswith("__main__") and not module.name.startswith("ctherd.neutron"):
        importlib.import_module(module.name)
unwanted = {"neutron", "neutron_lib", "oslo_privsep", "oslo_messaging"}
print(sorted(unwanted & {each.split(".")[0] for each in sys.modules}))
"""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True
    )
    assert run.stdout == "[]\n"
