"""What the server says of a helper that was created, changed or deleted: a hint where to look.

Nothing else of it is believed. It may be late, doubled, out of order, malformed or forged; so of
each message only what looks like a router is read, and one bad part of it does not hide the others.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import oslo_messaging
from neutron_lib import constants

from ctherd.model.document import RouterId

_log: Final = logging.getLogger("ctherd.neutron")

_FIELDS: Final = "versioned_object.data"


class PushEndpoint:
    """Takes pushes of conntrack helpers, as neutron.api.rpc.handlers.resources_rpc sends them."""

    target: Final = oslo_messaging.Target(
        version="1.1", namespace=constants.RPC_NAMESPACE_RESOURCES
    )

    def __init__(self, call_for: Callable[[Iterable[RouterId]], None]) -> None:
        self._call_for = call_for

    def push(self, context: Any, **message: Any) -> None:
        """Have the routers that *message* names looked at."""
        routers = list(_routers(message.get("resource_list")))
        if not routers:
            _log.warning("a push that names no router says nothing")
        self._call_for(routers)


def _routers(pushed: Any) -> Iterator[RouterId]:
    for each in pushed if isinstance(pushed, list | tuple) else ():
        fields = each.get(_FIELDS) if isinstance(each, dict) else None
        router = fields.get("router_id") if isinstance(fields, dict) else None
        if isinstance(router, str):
            yield RouterId(router)
