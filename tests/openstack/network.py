"""Neutron's API as its users have it: routers, their networks and their helpers."""

from typing import Any, Final

import httpx

from tests.openstack.configuration import HOST

FTP: Final = {"helper": "ftp", "protocol": "tcp", "port": 21}
TFTP: Final = {"helper": "tftp", "protocol": "udp", "port": 69}

_INTERFACES: Final = (
    "network:router_interface",
    "network:ha_router_replicated_interface",
    "network:router_interface_distributed",
)

INSIDE: Final = "192.0.2.0/24"
INSIDE_V6: Final = "2001:db8:1::/64"
INSIDE_GATEWAY_V6: Final = "2001:db8:1::1"
OUTSIDE: Final = "198.51.100.0/24"
OUTSIDE_GATEWAY: Final = "198.51.100.2"


class Network:
    """The API, and what was made with it, so that it can be unmade."""

    def __init__(self, api: httpx.Client) -> None:
        self._api = api
        self._made: list[str] = []

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask for *path* below /v2.0; any refusal is an error of the test."""
        answer = self._api.request(method, f"/v2.0/{path}", json=body)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return dict(answer.json() or {}) if answer.content else {}

    def make(self, kind: str, **attributes: Any) -> dict[str, Any]:
        path = f"{kind}s"
        made = dict(self.ask("POST", path, {kind: {"project_id": "tests", **attributes}})[kind])
        self._made.append(f"{path}/{made['id']}")
        return made

    def router(self, *helpers: dict[str, Any], placed: bool = True, **attributes: Any) -> str:
        """Make a router without ports, *placed* on the first node; return its id."""
        router = str(self.make("router", **attributes)["id"])
        for helper in helpers:
            self.add_helper(router, helper)
        if placed:
            self.place(router)
        return router

    def place(self, router: str, host: str = HOST) -> None:
        """Have the agent of *host* serve *router*; an HA router may have several."""
        self.ask("POST", f"agents/{self.agent(host)['id']}/l3-routers", {"router_id": router})

    def connect(self, router: str) -> tuple[str, str]:
        """Give *router* an inside and an outside; return the ids of these networks."""
        inside = self.add_inside(router)
        outside = str(self._subnet(OUTSIDE, gateway_ip=OUTSIDE_GATEWAY)["network_id"])
        self.change_router(router, external_gateway_info={"network_id": outside})
        return inside, outside

    def add_instance(self, network: str) -> None:
        """Have a port of somebody's machine on the host of the agent."""
        host = {"binding:host_id": HOST, "device_owner": "compute:tests"}
        self.make("port", network_id=network, **host)

    def add_inside(self, router: str) -> str:
        """Give *router* an inside; return the id of that network."""
        inside = self._subnet(INSIDE)
        self.ask("PUT", f"routers/{router}/add_router_interface", {"subnet_id": inside["id"]})
        return str(inside["network_id"])

    def add_ipv6(self, router: str) -> None:
        """Give the network on the inside of *router* IPv6 as well."""
        (port,) = self._interfaces(router)
        v6 = {
            "cidr": INSIDE_V6,
            "ip_version": 6,
            "enable_dhcp": False,
            "gateway_ip": INSIDE_GATEWAY_V6,
        }
        inside = self.make("subnet", network_id=port["network_id"], **v6)
        self.ask("PUT", f"routers/{router}/add_router_interface", {"subnet_id": inside["id"]})

    def disconnect(self, router: str) -> None:
        """Take its inside and its outside from *router*."""
        self.change_router(router, external_gateway_info=None)
        for port in self._interfaces(router):
            gone = {"port_id": port["id"]}
            self.ask("PUT", f"routers/{router}/remove_router_interface", gone)

    def forget_agent(self, host: str) -> None:
        """Have the server know no agent of *host* any more."""
        self.ask("DELETE", f"agents/{self.agent(host)['id']}")

    def clear(self) -> None:
        """Delete everything that was made, routers before what they hold."""
        order = ("floatingips", "routers", "ports", "subnets", "networks")
        for path in sorted(self._made, key=lambda path: order.index(path.split("/")[0])):
            if path.startswith("routers/"):
                self.disconnect(path.removeprefix("routers/"))
            self.ask("DELETE", path)
        self._made.clear()

    def _subnet(self, cidr: str, **attributes: Any) -> dict[str, Any]:
        external = {"router:external": cidr == OUTSIDE}
        network = self.make("network", **external)["id"]
        return self.make(
            "subnet", network_id=network, cidr=cidr, ip_version=4, enable_dhcp=False, **attributes
        )

    def agent(self, host: str = HOST) -> dict[str, Any]:
        (agent,) = self.ask("GET", f"agents?binary=neutron-l3-agent&host={host}")["agents"]
        return dict(agent)

    def add_helper(self, router: str, helper: dict[str, Any]) -> str:
        path = f"routers/{router}/conntrack_helpers"
        return str(self.ask("POST", path, {"conntrack_helper": helper})["conntrack_helper"]["id"])

    def change_helper(self, router: str, helper: str, **attributes: Any) -> None:
        path = f"routers/{router}/conntrack_helpers/{helper}"
        self.ask("PUT", path, {"conntrack_helper": attributes})

    def remove_helper(self, router: str, helper: str) -> None:
        self.ask("DELETE", f"routers/{router}/conntrack_helpers/{helper}")

    def remove_helpers(self, router: str, helper: str) -> None:
        """Delete whatever assigns *helper* on *router*."""
        path = f"routers/{router}/conntrack_helpers"
        for each in self.ask("GET", f"{path}?helper={helper}")["conntrack_helpers"]:
            self.ask("DELETE", f"{path}/{each['id']}")

    def ports(self, router: str) -> set[int]:
        """Return which ports have helpers, as the server's database says."""
        found = self.ask("GET", f"routers/{router}/conntrack_helpers")["conntrack_helpers"]
        return {each["port"] for each in found}

    def status(self, path: str) -> str:
        """Return how what is at *path* is, in Neutron's words, as ACTIVE, DOWN or ERROR."""
        (found,) = self.ask("GET", path).values()
        return str(found["status"])

    def add_floating_address(self, router: str) -> dict[str, Any]:
        """Have an address of the outside translated to one of the inside; return that resource."""
        gateway = self.ask("GET", f"routers/{router}")["router"]["external_gateway_info"]
        inside, *_ = self._interfaces(router)
        port = self.make("port", network_id=inside["network_id"])
        outside = {"floating_network_id": gateway["network_id"]}
        return self.make("floatingip", **outside, port_id=port["id"])

    def remove_floating_address(self, address: dict[str, Any]) -> None:
        """Delete it, and the port that it was translated to."""
        for path in (f"floatingips/{address['id']}", f"ports/{address['port_id']}"):
            self.ask("DELETE", path)
            self._made.remove(path)

    def ha_link(self, router: str, host: str = HOST) -> str:
        """Return the link by which the switch of *host* has the port for VRRP of *router*."""
        owner = f"device_owner=network:router_ha_interface&binding:host_id={host}"
        (port,) = self.ask("GET", f"ports?device_id={router}&{owner}")["ports"]
        return tap(port["id"])

    def active_on(self, router: str) -> set[str]:
        """Return the hosts whose agents have said that *router* is active there."""
        agents = self.ask("GET", f"routers/{router}/l3-agents")["agents"]
        return {str(agent["host"]) for agent in agents if agent["ha_state"] == "active"}

    def of_router(self, router: str) -> set[str]:
        """Return the networks in which *router* has ports, the one for VRRP too."""
        ports = self.ask("GET", f"ports?device_id={router}")["ports"]
        return {str(port["network_id"]) for port in ports}

    def _interfaces(self, router: str) -> list[dict[str, Any]]:
        """Return the ports by which *router* was connected to its inside."""
        ports = self.ask("GET", f"ports?device_id={router}")["ports"]
        return [port for port in ports if port["device_owner"] in _INTERFACES]

    def change_router(self, router: str, **attributes: Any) -> None:
        self.ask("PUT", f"routers/{router}", {"router": attributes})


def tap(port_id: str) -> str:
    """Return the name of the link by which the switch has a port."""
    return f"tap{port_id[:11]}"


def bridge_of(network_id: str) -> str:
    """Return the name of the bridge that is a network."""
    return f"br{network_id[:11]}"
