"""What Neutron's L3 agent loads: it takes down what happens, and never lets it wait.

The L3 agent makes its extensions before it forks the process that works, so that nothing is begun
before the first router: threads would stay behind in the parent. What works is imported only when
it may: in green threads it could not be, and Neutron would go on without us.
"""

import logging
import threading
from typing import TYPE_CHECKING, Any, Final

from neutron.api.rpc.callbacks import resources
from neutron.api.rpc.handlers import resources_rpc
from neutron_lib import rpc
from neutron_lib.agent import l3_extension
from neutron_lib.callbacks import events, registry
from neutron_lib.callbacks import resources as callback_resources
from oslo_config import cfg

from ctherd.journal.sqlite import SqliteJournal
from ctherd.journal.state_dir import JOURNAL_FILE
from ctherd.model.document import RouterId
from ctherd.neutron import options
from ctherd.neutron.green_threads import refuse_green_threads
from ctherd.neutron.home import home_of
from ctherd.neutron.pull import pull_from_server
from ctherd.neutron.push import PushEndpoint
from ctherd.neutron.roster import Roster

if TYPE_CHECKING:
    from ctherd.neutron.enforcement import Enforcement

_log: Final = logging.getLogger("ctherd.neutron")

_FIRST_LOOK_S: Final = 30.0
"""How long the first routers wait for what was in force before: Neutron's iptables manager removes
what its own extension left, and until then ours must be there."""


_FORMER_AGENT_S: Final = 10.0
"""How long a former L3 agent, which was killed, may take to be gone."""


class CtherdAgentExtension(l3_extension.L3AgentExtension):  # type: ignore[misc]
    """Conntrack helpers by ctherd, in the place of ``conntrack_helper``.

    Raises: ConfigurationError or Busy from ``initialize``, which keeps the L3 agent from starting.
    """

    SUPPORTED_RESOURCE_TYPES: Final = (resources.CONNTRACKHELPER,)

    def consume_api(self, agent_api: Any) -> None:
        """Keep what knows where routers live."""
        self._agent_api = agent_api

    def initialize(self, connection: Any, driver_type: str) -> None:
        """Check that we may, and wait for the first router."""
        options.register(cfg.CONF)
        self._config = options.configuration(cfg.CONF)
        refuse_green_threads()
        from ctherd.neutron.neighbours import claim, refuse_in_tree_extension

        refuse_in_tree_extension(cfg.CONF)
        self._roster = Roster()
        self._starting = threading.Lock()
        self._enforcement: Enforcement | None = None
        self._claims = claim(self._config, _FORMER_AGENT_S)
        registry.subscribe(self._before_router, callback_resources.ROUTER, events.BEFORE_CREATE)

    # -- what the L3 agent says ------------------------------------------------------------------

    def add_router(self, context: Any, data: dict[str, Any]) -> None:
        """Note where the router lives, and have it looked at."""
        self._look_at(data["id"])

    def update_router(self, context: Any, data: dict[str, Any]) -> None:
        """Note where the router lives, and have it looked at."""
        self._look_at(data["id"])

    def delete_router(self, context: Any, data: dict[str, Any]) -> None:
        """Withdraw what the router has."""
        self._start()
        self._roster.leaves(RouterId(data["id"]))

    def ha_state_change(self, context: Any, data: dict[str, Any]) -> None:
        """Have the router looked at: its helpers are there in both states."""
        self._look_at(data["router_id"])

    def update_network(self, context: Any, data: dict[str, Any]) -> None:
        """Networks have no helpers."""

    def _look_at(self, router: str) -> None:
        self._start()
        router_info = self._agent_api.get_router_info(router)
        if router_info is None:
            _log.debug("router %s was deleted meanwhile", router)
            return
        self._roster.lives(RouterId(router), home_of(router_info))

    def _before_router(self, resource: str, event: str, trigger: Any, payload: Any) -> None:
        enforcement = self._start()
        if not enforcement.wait_until_begun(_FIRST_LOOK_S):
            _log.warning("routers do not wait any longer for helpers that were in force before")

    # -- our own ---------------------------------------------------------------------------------

    def _start(self) -> "Enforcement":
        """Begin, if this process has not yet."""
        from ctherd.neutron import privileged
        from ctherd.neutron.enforcement import Enforcement

        with self._starting:
            if self._enforcement is None:
                self._enforcement = Enforcement(
                    self._config,
                    self._roster,
                    privileged,
                    pull_from_server,
                    journal=lambda: SqliteJournal(self._config.state_dir / JOURNAL_FILE),
                    pull_interval_s=cfg.CONF[options.GROUP].pull_interval,
                )
                self._enforcement.start()
                self._hear_pushes()
                cfg.CONF.register_mutate_hook(self._on_mutate)
            return self._enforcement

    def _hear_pushes(self) -> None:
        self._connection = rpc.Connection()
        topic = resources_rpc.resource_type_versioned_topic(resources.CONNTRACKHELPER)
        endpoints = [PushEndpoint(self._roster.call_for)]
        self._connection.create_consumer(topic, endpoints, fanout=True)
        self._connection.consume_in_threads()

    def _on_mutate(self, conf: cfg.ConfigOpts, fresh: Any) -> None:
        assert self._enforcement is not None
        self._enforcement.set_policy(options.configuration(conf).policy)
