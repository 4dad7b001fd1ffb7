"""What surrounds an extension of Neutron's L3 agent and would need a server: three stubs.

The router info, what a bulk pull answers, and the connection to the message bus. Both extensions
get the very same. Everything else is Neutron's own code.
"""

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

import neutron_lib.rpc
from neutron.agent.l3.router_info import RouterInfo
from neutron.api.rpc.handlers import resources_rpc
from neutron.objects.conntrack_helper import ConntrackHelper
from oslo_config import cfg

_PAIRS = (("ftp", "tcp"), ("tftp", "udp"), ("sip", "udp"), ("sip", "tcp"), ("sane", "tcp"))
"""Those of the server's default list that the in-tree extension can program for both families."""


def router_info(router_id: str) -> RouterInfo:
    """Return what the agent has of a legacy router: Neutron's own class, that knows no agent."""
    router = {"id": router_id, "project_id": "bench", "ha": False, "distributed": False}
    return RouterInfo(None, router_id, router, cfg.CONF, None, use_ipv6=True)


class Database:
    """The helpers of all routers, as the server would answer a bulk pull."""

    def __init__(self) -> None:
        self._helpers: dict[str, list[ConntrackHelper]] = {}

    def add(self, router_id: str, count: int) -> list[ConntrackHelper]:
        """Add *count* helpers to a router and return them."""
        known = self._helpers.setdefault(router_id, [])
        ports = range(20_000 + len(known), 20_000 + len(known) + count)
        fresh = [_helper(router_id, port) for port in ports]
        known += fresh
        return fresh

    def count(self, router_id: str) -> int:
        """Return how many helpers a router has."""
        return len(self._helpers.get(router_id, ()))

    def bulk_pull(
        self, context: Any, resource_type: str, filter_kwargs: dict[str, Any] | None = None
    ) -> list[ConntrackHelper]:
        """Answer as the server does, to whom a list of ids is as good as one."""
        asked = (filter_kwargs or {}).get("router_id", list(self._helpers))
        routers: Iterable[str] = [asked] if isinstance(asked, str) else asked
        return [helper for each in routers for helper in self._helpers.get(each, ())]


class Bus:
    """A connection that keeps its endpoints, and carries no message but ours."""

    endpoints: list[Any]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        del arguments, options

    def create_consumer(self, topic: str, endpoints: Sequence[Any], fanout: bool = False) -> None:
        """Keep the *endpoints*, of which the last extension's are the only ones."""
        Bus.endpoints = list(endpoints)

    def consume_in_threads(self) -> list[Any]:
        """Consume nothing: what comes is handed over by ``push``."""
        return []

    @classmethod
    def push(cls, context: Any, helpers: Sequence[ConntrackHelper], event: str) -> None:
        """Deliver a notification as it comes off the wire."""
        sent = [each.obj_to_primitive() for each in helpers]
        for endpoint in cls.endpoints:
            endpoint.push(context, resource_list=sent, event_type=event)


def install(database: Database) -> None:
    """Put the stubs in the place of the bus and of the pull."""
    neutron_lib.rpc.Connection = Bus
    neutron_lib.rpc.get_client = lambda *arguments, **options: None
    resources_rpc.ResourcesPullRpcApi.bulk_pull = staticmethod(database.bulk_pull)


def _helper(router_id: str, port: int) -> ConntrackHelper:
    helper, protocol = _PAIRS[port % len(_PAIRS)]
    identity = str(uuid.uuid5(uuid.UUID(router_id), str(port)))
    return ConntrackHelper(
        id=identity, router_id=router_id, protocol=protocol, port=port, helper=helper
    )
