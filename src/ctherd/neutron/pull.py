"""The authoritative answer to what helpers routers have: one call to the server for many."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from neutron.api.rpc.callbacks import resources
from neutron.api.rpc.handlers import resources_rpc
from neutron_lib import context as neutron_context

from ctherd.model.document import RouterId
from ctherd.neutron.desired import Row


class Pull(Protocol):
    """Returns the rows of each of these routers, which may be none.

    Raises: whatever the bus and the server raise. Then nothing is known.
    """

    def __call__(self, routers: Sequence[RouterId]) -> Mapping[RouterId, Sequence[Row]]:
        """Ask the server."""


def pull_from_server(routers: Sequence[RouterId]) -> Mapping[RouterId, Sequence[Row]]:
    """Ask the server as Neutron's own extension does, but for all *routers* at once."""
    rows: Iterable[Row] = resources_rpc.ResourcesPullRpcApi().bulk_pull(
        neutron_context.get_admin_context_without_session(),
        resources.CONNTRACKHELPER,
        filter_kwargs={"router_id": list(routers)},
    )
    found: dict[RouterId, list[Row]] = {each: [] for each in routers}
    for row in rows:
        # Whatever else an answer holds was not asked for.
        if row.router_id in found:
            found[RouterId(row.router_id)].append(row)
    return found
