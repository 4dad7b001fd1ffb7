"""One life of a Neutron L3 agent with one extension, which is asked for one step after the other.

The extension is loaded by its entry point and its manager, as the agent does it, over real privsep
daemons and the real kernel. How long each step took, and how many processes were started meanwhile,
is told; after each the kernel is read, and what is missing there is a failure. The routers are the
namespaces below ``/run/netns``, which the caller has made for this process alone.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from neutron.agent import l3_agent
from neutron.agent.l3 import l3_agent_extensions_manager
from neutron.agent.l3.l3_agent_extension_api import L3AgentExtensionAPI
from neutron.api.rpc.callbacks import events as rpc_events
from neutron.conf.agent import common as agent_options
from neutron_lib import constants
from neutron_lib.callbacks import events, registry, resources
from neutron_lib.callbacks.events import DBEventPayload
from neutron_lib.context import get_admin_context_without_session
from oslo_concurrency import lockutils
from oslo_config import cfg
from oslo_log import log as logging
from oslo_privsep import priv_context

from bench import started
from bench.l3_agent import HELPERS
from bench.neutron_sides import SIDES, Side
from bench.neutron_stubs import Bus, Database, install, router_info
from bench.timing import timed_s

_NETNS_DIR: Final = Path("/run/netns")
_PREFIX: Final = "qrouter-"
_MANY: Final = 100
_THREADS: Final = 32  # as many as the agent has


@dataclass(frozen=True, slots=True)
class Agent:
    """What an agent has: its extension, its routers, and what the server says of them."""

    side: Side
    manager: Any
    routers: Mapping[str, Any]
    database: Database
    context: Any

    # -- the steps: each prepares, and returns what is to be timed --------------------------------

    def add(self) -> Callable[[], None]:
        """Every router is new to the extension, with ten helpers each."""
        for each in self.routers:
            self.database.add(each, HELPERS)
        # As the agent does it before it asks any extension, many beside each other.
        with ThreadPoolExecutor(_THREADS) as threads:
            list(threads.map(lambda each: each.iptables_manager.apply(), self.routers.values()))
        return self._add

    def _add(self) -> None:
        self.side.expect()
        for each, router in self.routers.items():
            payload = DBEventPayload(self.context, resource_id=each, states=(router,))
            registry.publish(resources.ROUTER, events.BEFORE_CREATE, self, payload)
            self.manager.add_router(self.context, router.router)
        self.side.wait(self.routers.values())

    def update(self) -> Callable[[], None]:
        """Every router is processed again, and nothing has changed."""
        return self._update

    def _update(self) -> None:
        self.side.expect()
        for router in self.routers.values():
            self.manager.update_router(self.context, router.router)
        self.side.wait(self.routers.values())
        self.side.look()

    def ten(self) -> Callable[[], None]:
        """The first router gets ten helpers in one notification."""
        return self._push(next(iter(self.routers)), 0, HELPERS)

    def one(self) -> Callable[[], None]:
        """The last router has a hundred helpers, and gets one more."""
        return self._push(list(self.routers)[-1], _MANY, 1)

    def _push(self, router: str, has: int, gets: int) -> Callable[[], None]:
        self.database.add(router, has)
        self.side.expect()
        self.manager.add_router(self.context, self.routers[router].router)
        self.side.wait([self.routers[router]])
        fresh = self.database.add(router, gets)
        self.side.expect()

        def push() -> None:
            Bus.push(self.context, fresh, rpc_events.CREATED)
            self.side.wait([self.routers[router]])

        return push

    # -- the witness ------------------------------------------------------------------------------

    def missing(self) -> dict[str, tuple[int, int]]:
        """Return what the kernel has, and what it should have, where these differ."""
        found = {
            each: (self.side.in_kernel(_NETNS_DIR / router.ns_name), self.database.count(each))
            for each, router in self.routers.items()
        }
        return {each: pair for each, pair in found.items() if pair[0] != pair[1]}


def live(extension: str, directory: Path, steps: Sequence[str]) -> dict[str, tuple[float, int]]:
    """Go through *steps*, which are named after the methods of Agent.

    Shape: what must outlive the agent is kept below *directory*; the seconds that each step took,
    and the number of processes that were started for it.
    """
    log = directory / "started"
    started.log_to(log)
    _configure(extension, directory, [sys.executable, "-m", "bench.privsep_helper", str(log)])
    agent = _agent(extension)
    laps = {}
    for step in steps:
        action = getattr(agent, step)()
        before = started.count(log)
        taken_s = timed_s(action)
        laps[step] = taken_s, started.count(log) - before
        if missing := agent.missing():
            raise AssertionError(f"{extension}, after {step}: {missing}")
    return laps


def _configure(extension: str, directory: Path, root_helper: list[str]) -> None:
    conf = cfg.CONF
    logging.register_options(conf)
    agent_options.register_root_helper(conf)
    l3_agent.register_opts(conf)
    l3_agent_extensions_manager.register_opts(conf)
    conf([], project="neutron", default_config_files=[])
    conf.set_override("log_file", str(directory / "agent.log"))
    conf.set_override("state_path", str(directory))
    conf.set_override("extensions", [extension], group="agent")
    logging.setup(conf, "neutron")
    lockutils.set_defaults(str(directory))
    priv_context.init(root_helper=root_helper)


def _agent(extension: str) -> Agent:
    database = Database()
    install(database)
    ids = sorted(path.name.removeprefix(_PREFIX) for path in _NETNS_DIR.iterdir())
    routers = {each: router_info(each) for each in ids}
    manager = l3_agent_extensions_manager.L3AgentExtensionsManager(cfg.CONF)
    api = L3AgentExtensionAPI(routers, None)
    manager.initialize(Bus(), constants.L3_AGENT_MODE, api)
    side = SIDES[extension](manager[extension].obj, database)
    side.start_daemon()
    return Agent(side, manager, routers, database, get_admin_context_without_session())
