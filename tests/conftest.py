"""What every test shares: golden files, Hypothesis profiles, and skips that nobody overlooks."""

import fcntl
import os
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import settings

GOLDEN = Path(__file__).parent / "golden"
CI = bool(os.environ.get("CI"))

Golden = Callable[[str, str], None]

# A deadline measures the machine, not the code; in CI a failure must also be the same next time.
settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if CI else "dev")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden-update",
        action="store_true",
        default=os.environ.get("CTHERD_GOLDEN") == "write",
        help="rewrite golden files instead of comparing (also: CTHERD_GOLDEN=write)",
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compare a text with the file *name* below tests/golden, or rewrite the file."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--golden-update"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"no golden file {name}: `make golden` writes it, then review it"
        assert text == path.read_text(encoding="utf-8"), "`make golden` accepts the change"

    return compare


@pytest.fixture
def only_agent() -> Iterator[None]:
    """Wait until no other test run has an agent: the host has one directory of namespaces."""
    with open(Path(tempfile.gettempdir(), "ctherd-tests.lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(autouse=True)
def without_the_rules_of_neutron() -> None:
    """Neutron, once a test has imported it, has kinds of rules of its own in every policy."""
    # Not by monkeypatch: then every test would have that first, and undo its own patches last.
    if checks := sys.modules.get("oslo_policy._checks"):
        for kind in ("field", "project_id", "tenant_id"):
            checks.registered_checks.pop(kind, None)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop of tests that are coroutines."""
    return "asyncio"


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason="needs root and the real kernel"))


# First of all: the terminal reporter ends the session with the exit status it finds.
@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if CI and _skipped(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


# Around all others, so that this is the last line but one.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> Generator[None, None, None]:
    yield
    if count := _skipped(config):
        verdict = "CI is set, so that is a failure" if CI else "they prove nothing today"
        terminalreporter.write_line(f"SKIPPED TESTS: {count}; {verdict}", red=True, bold=True)


def _skipped(config: pytest.Config) -> int:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return len(reporter.stats.get("skipped", ())) if reporter else 0
