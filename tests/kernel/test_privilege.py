"""The agent with less than it may have, and with no more than it needs."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from ctherd.demo.command_line import CTHERD
from ctherd.lab.namespace import Namespace
from tests.kernel.conftest import MakeNetns
from tests.kernel.host import FTP, Host, assigned, becomes, canary, nft

pytestmark = pytest.mark.usefixtures("only_agent")


@pytest.fixture
def deaf(tmp_path: Path) -> Host:
    """A host whose agent may not hear all namespaces at once, and hardly ever sweeps."""
    host = Host(tmp_path, own_table=False)
    config = tmp_path / "ctherd.toml"
    config.write_text("sweep_interval_s = 3600\n" + config.read_text())
    without = ("setpriv", "--bounding-set=-net_broadcast", *CTHERD)
    host.command = replace(host.command, ctherd=without)
    return host


def test_the_agent_gives_up_what_it_does_not_need(host: Host, netns: Namespace) -> None:
    """Of root's capabilities NET_BROADCAST, NET_ADMIN and SYS_ADMIN stay, and no other."""
    host.declare({netns.name: [FTP]})
    with host.agent() as agent:
        lines = Path(f"/proc/{agent.pid}/status").read_text().splitlines()
        held = {line.split(":")[0]: int(line.split()[1], 16) for line in lines if "Cap" in line}
        needed = 1 << 11 | 1 << 12 | 1 << 21
        assert (held["CapEff"], held["CapPrm"]) == (needed, needed)
        assert held["CapBnd"] & ~needed == 0


def test_without_net_broadcast_each_namespace_is_listened_to(
    deaf: Host, make_netns: MakeNetns
) -> None:
    """Drift is repaired from its event all the same, in whichever netns, and the log says how."""
    netns = [make_netns() for _ in range(3)]
    deaf.declare({each.name: [FTP] for each in netns})
    with deaf.agent():
        deaf.show()  # by now it has looked everywhere once more, and nothing else is due
        log = deaf.command.log.read_text()
        assert "the agent lacks CAP_NET_BROADCAST" in log
        assert "one event socket per namespace" in log
        for each in netns:
            assert nft(each.name, "flush", "ruleset").returncode == 0
            assert becomes_assigned(each)


def becomes_assigned(netns: Namespace) -> bool:
    return becomes(lambda: assigned(netns.name) == {21})


def test_a_listener_keeps_no_namespace_alive(deaf: Host, make_netns: MakeNetns) -> None:
    """A deleted netns dies though the agent had two sockets in it, and its successor is heard."""
    netns, other = make_netns(), make_netns()
    deaf.declare({netns.name: [FTP]})
    with deaf.agent():
        alive = canary(netns, other)
        subprocess.run(["ip", "netns", "del", netns.name], check=True)
        assert becomes(lambda: not alive())
        subprocess.run(["ip", "netns", "add", netns.name], check=True)
        assert becomes_assigned(netns)
        assert nft(netns.name, "flush", "ruleset").returncode == 0
        assert becomes_assigned(netns)
