"""Where the helpers of a router belong, by Neutron's own classes of routers."""

from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from neutron.agent.l3 import agent as l3_agent
from neutron.agent.l3 import (
    dvr_edge_ha_router,
    dvr_edge_router,
    dvr_local_router,
    ha_router,
    legacy_router,
)
from neutron.conf.agent import common as agent_config
from neutron.conf.agent.l3 import config as l3_config
from neutron.conf.agent.l3 import ha as ha_config
from oslo_config import cfg

from ctherd.neutron.home import home_of

HOST = "network-node"
ROUTER = str(uuid4())
GATEWAY = {"id": str(uuid4()), "network_id": str(uuid4())}
LEGACY = legacy_router.LegacyRouter
HA = ha_router.HaRouter
LOCAL = dvr_local_router.DvrLocalRouter
EDGE = dvr_edge_router.DvrEdgeRouter
EDGE_HA = dvr_edge_ha_router.DvrEdgeHaRouter


def conf(mode: str) -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    l3_config.register_l3_agent_config_opts(l3_config.OPTS, conf)
    ha_config.register_l3_agent_ha_opts(conf)
    agent_config.register_interface_opts(conf)
    conf.register_opt(cfg.StrOpt("state_path", default="/nonexistent"))
    conf([])
    conf.set_override("agent_mode", mode)
    return conf


def router(kind: Any, mode: str = "legacy", **facts: Any) -> Any:
    """Return a router as the L3 agent has it."""
    data = {"id": ROUTER, "distributed": kind in (LOCAL, EDGE, EDGE_HA), **facts}
    agent = SimpleNamespace(host=HOST, fip_ns=None, get_fip_ns=lambda _: None)
    common = {
        "router_id": ROUTER,
        "router": data,
        "agent_conf": conf(mode),
        "interface_driver": SimpleNamespace(DEV_NAME_LEN=14),
        "use_ipv6": True,
    }
    if kind in (LEGACY, HA):
        return kind(agent, **common)
    return kind(HOST, agent, **common)


def test_these_are_the_classes_that_the_agent_makes() -> None:
    """If Neutron had another class of routers, this file would not speak of it."""
    made = set()
    for mode in ("legacy", "dvr", "dvr_snat"):
        factory = l3_agent.RouterFactory()
        asking = SimpleNamespace(conf=SimpleNamespace(agent_mode=mode))
        l3_agent.L3NATAgent._register_router_cls(asking, factory)
        made.update(factory._routers.values())
    assert made == {LEGACY, HA, LOCAL, EDGE, EDGE_HA}


@pytest.mark.parametrize("kind", [LEGACY, HA])
@pytest.mark.parametrize("gateway", [{}, {"gw_port": GATEWAY}])
def test_a_router_of_one_host_has_them_in_its_own_namespace(
    kind: Any, gateway: dict[str, Any]
) -> None:
    assert home_of(router(kind, **gateway)) == f"qrouter-{ROUTER}"


@pytest.mark.parametrize("kind", [EDGE, EDGE_HA])
def test_a_distributed_router_has_them_where_it_translates(kind: Any) -> None:
    here = {"gw_port": GATEWAY, "gw_port_host": HOST}
    assert home_of(router(kind, "dvr_snat", **here)) == f"snat-{ROUTER}"


@pytest.mark.parametrize(
    ("kind", "mode", "facts"),
    [
        (EDGE, "dvr_snat", {"gw_port": GATEWAY, "gw_port_host": "another"}),
        (EDGE, "dvr_snat", {"gw_port": GATEWAY}),
        (EDGE, "dvr_snat", {}),
        (EDGE_HA, "dvr_snat", {}),
        (LOCAL, "dvr", {"gw_port": GATEWAY, "gw_port_host": "another"}),
        (LOCAL, "dvr", {}),
        (LOCAL, "dvr_no_external", {}),
    ],
)
def test_elsewhere_a_distributed_router_has_none(
    kind: Any, mode: str, facts: dict[str, Any]
) -> None:
    """Neutron's own extension raises AttributeError for these, even without helpers."""
    assert home_of(router(kind, mode, **facts)) is None
