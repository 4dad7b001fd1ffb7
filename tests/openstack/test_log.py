"""Where ctherd's words go, and how many there are, Neutron's own options say: oslo.log's."""

import re

import pytest

from tests.openstack.configuration import Setup
from tests.openstack.machine import STATE
from tests.openstack.network import FTP, Network
from tests.openstack.site import has
from tests.openstack.stack import Stack

FILE = f"{STATE}/state/l3-agent.log"
IN_A_FILE = Setup(
    "ctherd",
    defaults=(
        f"log_file = {FILE}",
        "default_log_levels = ctherd.neutron=DEBUG,ctherd.agent=WARNING",
    ),
)


@pytest.mark.parametrize("setup", [IN_A_FILE])
def test_options_of_neutron(stack: Stack, network: Network) -> None:
    """All is in the file of Neutron's, each logger down to its level, the daemon's words too."""
    start = stack.agent.log.stat().st_size
    router = network.router(FTP)
    assert has(stack.machine, router, {21})
    said = stack.machine.path(FILE).read_text()
    assert re.search(" INFO ctherd.neutron .*dataplane nftables", said)
    assert re.search(" DEBUG ctherd.neutron .*1 helpers on 1 routers", said)
    assert set(re.findall(r" DEBUG (\S+)", said)) == {"ctherd.neutron"}
    assert " INFO ctherd.agent" not in said
    assert "privsep daemon running as pid" in said
    assert "ctherd" not in stack.agent.log.read_bytes()[start:].decode()
