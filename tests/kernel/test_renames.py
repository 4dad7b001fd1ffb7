"""Namespaces that get another name, with and without an agent that looks on."""

import subprocess
from collections.abc import Iterator

import pytest

from ctherd.lab.cleanup import remove
from ctherd.lab.namespace import NETNS_DIR, Namespace
from tests.kernel.host import FTP, TFTP, Host, assigned, becomes, nft

pytestmark = pytest.mark.usefixtures("only_agent")


def rename(old: str, new: str) -> None:
    """Mount the namespace under its new name, then take the old one away."""
    (NETNS_DIR / new).touch()
    subprocess.run(["mount", "--bind", NETNS_DIR / old, NETNS_DIR / new], check=True)
    subprocess.run(["ip", "netns", "del", old], check=True)


@pytest.fixture
def new_name(netns: Namespace) -> Iterator[str]:
    name = f"{netns.name}-new"
    yield name
    remove([name])


def mark(netns: str) -> str:
    """Return the line of the listing that has our mark."""
    (line,) = [
        each for each in nft(netns, "list", "ruleset").stdout.splitlines() if "comment" in each
    ]
    return line


def test_renamed_while_no_agent_ran(host: Host, netns: Namespace, new_name: str) -> None:
    """The mark tells that the new name is the old router: nothing is foreign, nothing is lost."""
    host.declare({netns.name: [FTP, TFTP]})
    with host.agent() as agent:
        host.command.end(agent)
    before = mark(netns.name)
    rename(netns.name, new_name)
    host.declare({new_name: [FTP]})
    with host.agent():
        assert assigned(new_name) == {21}
        assert mark(new_name) == before
        (router,) = host.show()
        assert router["assignments"][0]["status"] == "active"


def test_renamed_under_a_running_agent(host: Host, netns: Namespace, new_name: str) -> None:
    """The agent lets go of the old name at once, and knows the netns when the file names it."""
    host.declare({netns.name: [FTP, TFTP]})
    with host.agent():
        before = mark(netns.name)
        rename(netns.name, new_name)
        assert becomes(lambda: host.show()[0]["assignments"][0]["status"] == "pending")
        host.declare({new_name: [FTP]})
        assert becomes(lambda: assigned(new_name) == {21})
        assert mark(new_name) == before
