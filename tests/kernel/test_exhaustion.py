"""The agent where the system gives it less than it needs."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ctherd.demo.command_line import CTHERD
from ctherd.lab.cleanup import namespaces
from tests.kernel.conftest import fresh_name
from tests.kernel.host import FTP, Host, assigned, becomes

pytestmark = pytest.mark.usefixtures("only_agent")

_OPEN_FILES = 64


@pytest.fixture
def crowd() -> Iterator[list[str]]:
    """More namespaces than the agent may have open files."""
    names = [fresh_name() for _ in range(_OPEN_FILES + 10)]
    with namespaces(names):
        yield names


def states(host: Host) -> dict[str, str]:
    shown = {each["netns"]: each["assignments"] for each in host.show()}
    return {netns: each[0]["status"] if each else "leaving" for netns, each in shown.items()}


def test_what_cannot_be_opened_is_reported_and_spares_the_others(
    tmp_path: Path, crowd: list[str]
) -> None:
    """Files run out: some routers are in error, the others true, and all are once there is room."""
    host = Host(tmp_path)
    limited = ("prlimit", f"--nofile={_OPEN_FILES}:{_OPEN_FILES}", *CTHERD)
    host.command = replace(host.command, ctherd=limited)
    host.declare({netns: [FTP] for netns in crowd})
    with host.agent():
        found = states(host)
        served = [netns for netns in crowd if assigned(netns) == {21}]
        assert served
        assert found == {each: "active" if each in served else "error" for each in crowd}
        assert "Too many open files" in host.command.log.read_text()
        unserved = [each for each in crowd if each not in served]
        fewer = {*served[: len(served) // 2], *unserved[: len(served) // 4]}
        host.declare({netns: [FTP] for netns in fewer})
        assert becomes(lambda: "held as unsafe" in host.command.log.read_text())
        host.ctherd("confirm")
        assert becomes(lambda: set(states(host).values()) == {"active"})
        assert {netns for netns in crowd if assigned(netns) == {21}} == fewer
