"""What loads the extension as an L3 agent does, in a process of its own: obeys lines of JSON.

Everything is Neutron's but the routers, which are names of namespaces, and the bus, which is inside
this process. Run as: agent_process.py CONFIG_FILE; with GREEN in the environment, in green threads
as the L3 agent was up to Neutron 26.
"""

import json
import os
import sys
import threading
import time
import traceback
import warnings
from types import SimpleNamespace
from typing import Any

sys.argv[0] = "neutron-l3-agent"
warnings.simplefilter("ignore")
if "GREEN" in os.environ:
    import eventlet

    eventlet.monkey_patch(os=False)

# ruff: noqa: E402 - the name and the filter must be there first
import oslo_messaging
from neutron.agent.l3 import l3_agent_extension_api, l3_agent_extensions_manager
from neutron.api.rpc.callbacks import resources
from neutron.api.rpc.handlers import resources_rpc
from neutron.common import config as common_config
from neutron.objects.conntrack_helper import ConntrackHelper
from neutron_lib import constants, rpc
from neutron_lib import context as neutron_context
from neutron_lib.agent import topics
from neutron_lib.callbacks import events, registry
from neutron_lib.callbacks import resources as callback_resources
from oslo_config import cfg
from oslo_log import log
from oslo_privsep import daemon

from ctherd.neutron import privileged

Answer = Any


class Server:
    """The other end of the bus: its database is a dict."""

    target = oslo_messaging.Target(version="1.1", namespace=constants.RPC_NAMESPACE_RESOURCES)

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.fails = False
        self.pulls = 0
        self.answers = threading.Event()
        self.answers.set()

    def bulk_pull(
        self, context: Any, resource_type: str, version: str, filter_kwargs: dict[str, Any]
    ) -> list[Any]:
        self.answers.wait()
        self.pulls += 1
        if self.fails:
            raise RuntimeError("the database is away")
        found = [row for each in filter_kwargs["router_id"] for row in self.rows.get(each, ())]
        return [ConntrackHelper(**row).obj_to_primitive(version) for row in found]


class AgentProcess:
    """One method for each order."""

    def __init__(self) -> None:
        self.routers: dict[str, Any] = {}
        self.server = Server()
        self.calls: dict[str, int] = {}
        self._count_calls()
        listener = rpc.get_server(
            oslo_messaging.Target(topic=topics.PLUGIN, server="server"), [self.server]
        )
        listener.start()

    def _count_calls(self) -> None:
        passing = daemon._ClientChannel.remote_call

        def counted(channel: Any, name: str, *rest: Any) -> Any:
            call = name.rpartition(".")[2]
            self.calls[call] = self.calls.get(call, 0) + 1
            return passing(channel, name, *rest)

        daemon._ClientChannel.remote_call = counted  # type: ignore[method-assign,assignment]

    def load(self) -> Answer:
        self.extensions = l3_agent_extensions_manager.L3AgentExtensionsManager(cfg.CONF)
        api = l3_agent_extension_api.L3AgentExtensionAPI(self.routers, None)
        self.extensions.initialize(None, "l3", api)
        return self.extensions.names()

    def add(self, routers: dict[str, str]) -> Answer:
        """Return how long the slowest took: router → netns."""
        slowest_s = 0.0
        for router, netns in routers.items():
            self.routers[router] = SimpleNamespace(router={"id": router}, ns_name=netns)
            began_s = time.monotonic()
            self.extensions.add_router(None, {"id": router})
            slowest_s = max(slowest_s, time.monotonic() - began_s)
        return slowest_s

    def announce(self, router: str) -> Answer:
        """Do what the L3 agent does before it touches a router that is new to it."""
        registry.publish(callback_resources.ROUTER, events.BEFORE_CREATE, self, payload=None)

    def update(self, router: str) -> Answer:
        self.extensions.update_router(None, {"id": router})

    def delete(self, router: str) -> Answer:
        self.extensions.delete_router(None, {"id": router})
        del self.routers[router]

    def ha_state_change(self, router: str, state: str) -> Answer:
        data = {"router_id": router, "state": state}
        self.extensions.ha_state_change(None, data)

    def declare(self, router: str, rows: list[dict[str, Any]]) -> Answer:
        self.server.rows[router] = [{**row, "router_id": router} for row in rows]

    def push(self, router: str, event: str) -> Answer:
        """Push as the server does, whatever row it is about."""
        row = ConntrackHelper(
            id=router, router_id=router, protocol="tcp", port=21, helper="ftp\n-j ACCEPT"
        )
        self.push_raw([row.obj_to_primitive("1.0")], event)

    def push_raw(self, pushed: Any, event: str) -> Answer:
        topic = resources_rpc.resource_type_versioned_topic(resources.CONNTRACKHELPER)
        target = oslo_messaging.Target(namespace=constants.RPC_NAMESPACE_RESOURCES)
        client = rpc.get_client(target).prepare(fanout=True, topic=topic, version="1.1")
        context = neutron_context.get_admin_context_without_session()
        client.cast(context, "push", resource_list=pushed, event_type=event)

    def fail(self, fails: bool) -> Answer:
        self.server.fails = fails

    def hold(self, hold: bool) -> Answer:
        """Let the server answer nothing, or go on."""
        (self.server.answers.clear if hold else self.server.answers.set)()

    def count(self) -> Answer:
        return {"pulls": self.server.pulls, "calls": self.calls}

    def mutate(self) -> Answer:
        """Do what SIGHUP makes of the L3 agent."""
        cfg.CONF.mutate_config_files()


def main() -> None:
    common_config.register_common_config_options()
    l3_agent_extensions_manager.register_opts(cfg.CONF)
    log.register_options(cfg.CONF)
    cfg.CONF(["--config-file", sys.argv[1]], project="neutron")
    log.setup(cfg.CONF, "neutron")
    rpc.init(cfg.CONF)
    assert privileged.context.client_mode
    process = AgentProcess()
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        order, arguments = json.loads(line)
        try:
            answer = getattr(process, order)(**arguments)
        except Exception as error:  # noqa: BLE001 - it is the answer
            traceback.print_exc()
            answer = {"raised": type(error).__name__, "words": str(error)}
        print(json.dumps(answer), flush=True)


main()
