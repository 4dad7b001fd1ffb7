"""In which network namespace the helpers of a router belong, by what the L3 agent knows of it.

======================================  ==========================================================
router                                  network namespace
======================================  ==========================================================
legacy, HA (whether active or standby)  its own, ``qrouter-…``
distributed, where it translates        that of its gateway, ``snat-…``
distributed, elsewhere                  none: floating addresses are translated without helpers, as
                                        Neutron's own extension has it
======================================  ==========================================================
"""

from typing import Any

from ctherd.model.document import NetnsName


def home_of(router_info: Any) -> NetnsName | None:
    """Return the netns for helpers of the router of *router_info* (neutron.agent.l3), if any."""
    if not router_info.router.get("distributed"):
        return NetnsName(router_info.ns_name)
    gateway = getattr(router_info, "snat_namespace", None)
    if gateway is None or not router_info.get_ex_gw_port():
        return None
    return NetnsName(gateway.name) if router_info._is_this_snat_host() else None
