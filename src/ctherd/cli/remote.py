"""A herd file over a server: what `plan`, `apply` and `show` do when a server is meant."""

import socket
from typing import TYPE_CHECKING, Any

from ctherd.cli.options import connected
from ctherd.errors import NotFound, UnsafePlan

if TYPE_CHECKING:
    from ctherd.client.access import Asked
    from ctherd.client.herd_plan import RouterPlan
    from ctherd.client.routers import Routers
    from ctherd.main.config import Config

Answer = dict[str, Any]


def plan(config: "Config", asked: "Asked", host: str, *, partial: bool) -> Answer:
    """Say what would change on the server.

    Raises: CtherdError.
    """
    from ctherd.client.herd_plan import as_answer, unsafe
    from ctherd.client.routers import Routers

    with connected(asked, config) as connection:
        plans = _planned(config, Routers(connection), host, partial=partial)
    danger = unsafe(plans, config.max_removals)
    return {**as_answer(plans), "unsafe": str(danger) if danger else None}


def apply(
    config: "Config",
    asked: "Asked",
    host: str,
    *,
    partial: bool,
    confirmed: bool,
    wait_s: float,
) -> Answer:
    """Make the server equal to the file.

    Raises: UnsafePlan, with nothing changed; CtherdError.
    """
    from ctherd.client.herd_apply import carry_out
    from ctherd.client.herd_plan import as_answer, unsafe
    from ctherd.client.routers import Routers

    with connected(asked, config) as connection:
        routers = Routers(connection, wait_s=wait_s)
        plans = _planned(config, routers, host, partial=partial)
        danger = unsafe(plans, config.max_removals)
        if danger and not confirmed:
            raise UnsafePlan(
                f"{danger}; nothing was changed",
                cure="look at `ctherd plan`; if that is meant, say --yes",
            )
        answer = as_answer(plans)
        carry_out(plans, routers, answer["routers"], look=wait_s > 0)
    return answer


def show(config: "Config", asked: "Asked", router: str) -> Answer:
    """Say what the server knows of its routers, or of the one called *router* (name or id).

    Raises: NotFound, CtherdError.
    """
    from ctherd.client.routers import Routers, router_as_data

    with connected(asked, config) as connection:
        found = Routers(connection).all()
    shown = [each for each in found if not router or router in (each.name, each.id)]
    if router and not shown:
        raise NotFound(f"the server shows us no router {router!r}")
    return {"routers": [router_as_data(each) for each in shown]}


def _planned(
    config: "Config", routers: "Routers", host: str, *, partial: bool
) -> "list[RouterPlan]":
    from ctherd.client.herd_plan import plan_herd
    from ctherd.herdfile.read import read_herd
    from ctherd.model.router import HostName

    herd = read_herd(config.file, of_hosts=True)
    named = HostName(host or socket.gethostname())
    return plan_herd(herd, named, routers.all(), partial=partial)
