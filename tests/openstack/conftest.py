"""A real Neutron, once for all tests of this directory, which are ``root`` and ``slow``."""

from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import pytest

from tests.openstack.configuration import CTHERD, Setup
from tests.openstack.machine import missing_programs
from tests.openstack.network import Network
from tests.openstack.site import Site, becomes
from tests.openstack.stack import Stack

_HERE = Path(__file__).parent
_LOG = pytest.StashKey[tuple[Path, int]]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.root)
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything but the agent, which each test configures."""
    if missing := missing_programs():
        pytest.skip(f"`make system` installs what is missing: {', '.join(missing)}")
    with Stack.up(tmp_path_factory.mktemp("openstack")) as stack:
        yield stack


@pytest.fixture
def setup() -> Setup:
    """How the agent is to work; a test that wants it otherwise gives this as a parameter."""
    return CTHERD


@pytest.fixture(autouse=True)
def running(stack: Stack, setup: Setup, request: pytest.FixtureRequest) -> None:
    """The agent runs, or runs on."""
    log = stack.machine.logs / "l3-agent.log"
    request.node.stash[_LOG] = log, log.stat().st_size if log.exists() else 0
    stack.run_agent(setup)


@pytest.fixture
def network(stack: Stack) -> Iterator[Network]:
    """What a test makes by the API; afterwards it is gone."""
    network = Network(stack.api)
    yield network
    network.clear()


@pytest.fixture
def site(stack: Stack, network: Network) -> Iterator[Site]:
    """A router without helpers, with its client and server; the agent of before plugs it."""
    with Site.built(stack.machine, network, network.router()) as site:
        assert becomes(site.reaches_its_server)
        yield site


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and (known := item.stash.get(_LOG, None)):
        path, start = known
        said = path.read_bytes()[start:].decode(errors="replace") if path.exists() else ""
        lines = [line for line in said.splitlines() if "privsep log:" not in line]
        report.sections.append(("l3-agent.log of this test", "\n".join(lines[-200:])))
    return report
