"""The Neutron that the other tests stand on: it works, has no privileges, and is contained."""

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.openstack.configuration import IN_TREE
from tests.openstack.machine import UID
from tests.openstack.network import FTP, Network
from tests.openstack.site import Site, becomes
from tests.openstack.stack import Stack

pytestmark = pytest.mark.parametrize("setup", [IN_TREE])


def test_its_own_extension_works(site: Site, network: Network) -> None:
    """FTP passes a router of Neutron's while it has a helper: so a transfer tells that it has."""
    assert not site.attempt().succeeded
    helper = network.add_helper(site.router_id, FTP)
    assert becomes(lambda: site.attempt().succeeded)
    network.remove_helper(site.router_id, helper)
    assert becomes(lambda: not site.attempt().succeeded)


def test_the_agent_has_no_privileges(stack: Stack) -> None:
    """The agent and its workers are a plain user's: what they can, sudo gives them."""
    processes = [stack.agent.pid, *stack.agent.workers()]
    assert len(processes) > 1
    for pid in processes:
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        )
        assert set(status["Uid"].split()) == {str(UID)}
        assert int(status["CapPrm"], 16) == int(status["CapEff"], 16) == 0


@pytest.fixture
def stranger() -> Iterator[Path]:
    """A namespace of the host whose name says that an agent should know it."""
    name = f"qrouter-{uuid.uuid4()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    yield Path("/run/netns", name)
    subprocess.run(["ip", "netns", "delete", name], check=True)


def test_nothing_leaves_the_machine(stranger: Path, stack: Stack, network: Network) -> None:
    """An agent that starts deletes namespaces that it does not know: on its own machine only."""
    orphan = f"qrouter-{uuid.uuid4()}"
    stack.machine.run("ip", "netns", "add", orphan)
    stack.agent.end()
    stack.start_agent()
    router = network.router()
    assert becomes(lambda: stack.machine.has_netns(f"qrouter-{router}"))
    assert becomes(lambda: not stack.machine.has_netns(orphan))
    assert stranger.exists()
    assert not Path(f"/run/netns/qrouter-{router}").exists()
