"""Our table and the rules of Neutron's iptables manager in one router: who restarts, and when.

Each test is one order of restarts and losses. Afterwards both sides do what they are asked for, and
the ruleset is, line by line, what it was before.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.openstack.configuration import CTHERD
from tests.openstack.machine import BIN, USER, Machine
from tests.openstack.network import FTP, TFTP, Network
from tests.openstack.rules import contents, guarded, neutrons, table
from tests.openstack.site import Site, assigned, becomes, failures
from tests.openstack.stack import Stack

_CONTEXT: Final = "privsep_context ctherd.neutron.privileged.context"
# sudo follows the last line that fits.
_KEPT_AWAY: Final = f"{USER} ALL = (root) !{BIN}/neutron-rootwrap * --{_CONTEXT} *\n"


class Router:
    """A router with FTP, and what can happen to it and to those who work on it."""

    def __init__(self, stack: Stack, site: Site, network: Network) -> None:
        self.site = site
        self._stack = stack
        self._network = network
        self._netns = site.router
        self._sudoers = Sudoers(stack.machine)
        self._address: dict[str, Any] | None = None
        network.add_helper(site.router_id, FTP)
        assert becomes(lambda: assigned(self._netns) == {21} and guarded(self._netns))
        self.both_obey()
        self.settled = self.state()

    # -- the daemon of ours ----------------------------------------------------------------------

    def daemon_dies(self) -> None:
        """Kill it; another one comes."""
        (known,) = self._daemons()
        self._kill_daemon()
        assert becomes(lambda: known not in self._daemons() and guarded(self._netns))

    def daemon_stays_away(self) -> None:
        """Kill it, and let none come."""
        self._sudoers.forbid(_KEPT_AWAY)
        self._kill_daemon()
        assert becomes(lambda: not guarded(self._netns))

    def daemon_may_come(self) -> None:
        """Let one come, whenever it is needed."""
        self._sudoers.restore()

    # -- the L3 agent ----------------------------------------------------------------------------

    def agent_ends(self) -> None:
        """Have it end in order."""
        self._stack.agent.end()

    def agent_dies(self) -> None:
        """Kill it."""
        self._stack.agent.kill()

    def agent_starts(self) -> None:
        """Start it; it has been heard of when this returns."""
        self._stack.start_agent()

    # -- the rules of Neutron's iptables manager -------------------------------------------------

    def rules_change(self) -> None:
        """Have an address translated: its rules come as soon as there is an agent."""
        self._address = self._network.add_floating_address(self.site.router_id)

    def rules_come(self) -> None:
        """Have an address translated, and see its rules."""
        self.rules_change()
        assert becomes(self._is_translated)

    def rules_are_lost(self) -> None:
        """Empty all of iptables; our table is none of it."""
        before = contents(self._netns)
        # At once, table by table: an agent that runs may write its own again at any moment.
        empty = "".join(f"*{name}\nCOMMIT\n" for name in ("raw", "mangle", "nat", "filter"))
        for program in ("iptables-restore", "ip6tables-restore"):
            self._netns.run([program, "-w"], input=empty)
        assert contents(self._netns) == before

    # -- our table -------------------------------------------------------------------------------

    def table_is_lost(self) -> None:
        """Delete it, which somebody can while no daemon of ours runs; Neutron's rules stay."""
        before = neutrons(self._netns)
        self._netns.run(["nft", "delete", "table", "inet", "ctherd"])
        assert neutrons(self._netns) == before

    # -- what must be true -----------------------------------------------------------------------

    def state(self) -> tuple[list[str], list[str]]:
        """Return Neutron's rules and our table."""
        return neutrons(self._netns), table(self._netns)

    def both_obey(self) -> None:
        """A helper and an address come, and go again."""
        helper = self._network.add_helper(self.site.router_id, TFTP)
        if self._address is None:
            self.rules_change()
        assert becomes(lambda: assigned(self._netns) == {21, 69} and self._is_translated())
        self._network.remove_helper(self.site.router_id, helper)
        assert self._address is not None
        self._network.remove_floating_address(self._address)
        assert becomes(lambda: assigned(self._netns) == {21} and not self._is_translated())
        self._address = None

    def mend(self) -> None:
        """Let the next test find nothing that this one forbade."""
        self._sudoers.restore()

    def _is_translated(self) -> bool:
        assert self._address is not None
        address = f"{self._address['floating_ip_address']}/32"
        return any(f"-d {address} -j DNAT" in line for line in neutrons(self._netns))

    def _daemons(self) -> list[str]:
        return self._stack.machine.processes(_CONTEXT)

    def _kill_daemon(self) -> None:
        self._stack.machine.run("kill", "-9", *self._daemons(), check=False)


class Sudoers:
    """What users of the machine may do as root."""

    def __init__(self, machine: Machine) -> None:
        self._path = machine.path("/etc/sudoers")
        self._text = self._path.read_text()

    def forbid(self, line: str) -> None:
        """Add a line that forbids something."""
        self._write(self._text + line)

    def restore(self) -> None:
        """Let everything be as it was."""
        self._write(self._text)

    def _write(self, text: str) -> None:
        # sudo may read it at any moment, and refuses one that others may write.
        draft = Path(f"{self._path}.draft")
        draft.write_text(text)
        draft.chmod(0o440)
        draft.replace(self._path)


@pytest.fixture(scope="module")
def one_router(stack: Stack) -> Iterator[Router]:
    """One router for all orders, as each leaves it as it was."""
    stack.run_agent(CTHERD)
    network = Network(stack.api)
    with Site.built(stack.machine, network, network.router()) as site:
        assert becomes(site.reaches_its_server)
        yield Router(stack, site, network)
    network.clear()


@pytest.fixture
def router(one_router: Router) -> Iterator[Router]:
    yield one_router
    one_router.mend()


Step = Callable[[Router], None]

WITH_TRAFFIC: Final[dict[str, tuple[Step, ...]]] = {
    "agent ends": (Router.agent_ends, Router.agent_starts),
    "daemon, then agent": (Router.daemon_dies, Router.agent_dies, Router.agent_starts),
    "agent, rules change meanwhile": (
        Router.agent_dies,
        Router.rules_change,
        Router.agent_starts,
    ),
    "rules change, then daemon, then agent": (
        Router.rules_come,
        Router.daemon_dies,
        Router.agent_ends,
        Router.agent_starts,
    ),
    "daemon is away, rules change": (
        Router.daemon_stays_away,
        Router.rules_come,
        Router.daemon_may_come,
    ),
    "daemon is away, rules change, agent": (
        Router.daemon_stays_away,
        Router.rules_come,
        Router.agent_dies,
        Router.daemon_may_come,
        Router.agent_starts,
    ),
}

WITH_LOSSES: Final[dict[str, tuple[Step, ...]]] = {
    "rules": (Router.rules_are_lost,),
    "rules, without agent": (Router.agent_dies, Router.rules_are_lost, Router.agent_starts),
    "rules, without daemon": (
        Router.daemon_stays_away,
        Router.rules_are_lost,
        Router.daemon_may_come,
    ),
    "rules, then daemon, then agent": (
        Router.rules_are_lost,
        Router.daemon_dies,
        Router.agent_ends,
        Router.agent_starts,
    ),
    "table, without agent": (Router.agent_ends, Router.table_is_lost, Router.agent_starts),
    "table, without daemon": (
        Router.daemon_stays_away,
        Router.table_is_lost,
        Router.daemon_may_come,
    ),
}


@pytest.mark.parametrize("order", WITH_TRAFFIC.values(), ids=WITH_TRAFFIC)
def test_neither_takes_from_the_other(router: Router, order: tuple[Step, ...]) -> None:
    """In any order of restarts both sides come to what they were, and not one transfer fails."""
    with router.site.loop() as loop:
        for step in order:
            step(router)
        router.both_obey()
        assert becomes(lambda: router.state() == router.settled), router.state()
        assert not failures(loop.follow(time.monotonic(), 3))
        assert not failures(loop.finish())


@pytest.mark.parametrize("order", WITH_LOSSES.values(), ids=WITH_LOSSES)
def test_each_repairs_its_own(router: Router, order: tuple[Step, ...]) -> None:
    """What one side lost comes back, the other side's stays meanwhile, and FTP works again."""
    for step in order:
        step(router)
    router.both_obey()
    assert becomes(lambda: router.state() == router.settled), router.state()
    assert becomes(router.site.reaches_its_server)
    assert router.site.attempt().succeeded
