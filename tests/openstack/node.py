"""A second network node: a machine of its own, with an L3 agent, that speaks to the first one.

```
 first machine                                second machine
 broker, database, server, agent              agent
 10.255.0.1 ──────── management, RPC ──────── 10.255.0.2
 br… ──────── a cable for each network ────── br…
```
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, Self

from tests.openstack import configuration
from tests.openstack.configuration import Setup
from tests.openstack.machine import Machine, Program
from tests.openstack.network import bridge_of
from tests.openstack.site import becomes
from tests.openstack.stack import AGENT, Stack, furnish

SECOND: Final = "second-node"

_FIRST_ADDRESS: Final = "10.255.0.1"
_SECOND_ADDRESS: Final = "10.255.0.2"


class Node:
    """The second node, once the server has heard of its agent."""

    def __init__(self, machine: Machine, first: Machine, agent: Program) -> None:
        self.machine = machine
        self.agent = agent
        self._first = first

    @classmethod
    @contextmanager
    def up(cls, stack: Stack, setup: Setup) -> Iterator[Self]:
        """Boot it and start its agent; afterwards everything on it is dead at once."""
        logs = stack.machine.logs / SECOND
        logs.mkdir(exist_ok=True)
        with Machine.booted(logs) as machine:
            _manage(stack.machine, machine)
            furnish(machine)
            configuration.install(machine, SECOND, _FIRST_ADDRESS)
            setup.install(machine)
            before = stack.heartbeat(SECOND)
            agent = machine.spawn("l3-agent", AGENT)
            try:
                assert becomes(lambda: stack.heartbeat(SECOND) != before, 120.0), agent.log
                yield cls(machine, stack.machine, agent)
            finally:
                agent.kill()

    def join(self, networks: Iterable[str]) -> None:
        """Have these networks on both nodes, before the agent here plugs anything into them."""
        for number, network in enumerate(networks):
            bridge, cable = bridge_of(network), f"cable{number}"
            self.machine.run("ip", "link", "add", bridge, "up", "type", "bridge")
            self._first.cable(cable, self.machine, cable)
            for each in (self._first, self.machine):
                each.run("ip", "link", "set", cable, "master", bridge)


def _manage(first: Machine, second: Machine) -> None:
    first.cable("management", second, "management")
    for machine, address in ((first, _FIRST_ADDRESS), (second, _SECOND_ADDRESS)):
        machine.run("ip", "address", "add", f"{address}/24", "dev", "management")
