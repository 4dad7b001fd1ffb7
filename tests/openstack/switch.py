"""What a switch is to Neutron, as two drivers of its own kinds, so that ports are real without one.

The mechanism driver binds every port at once. The interface driver plugs a port as a veth pair: one
end into the namespace that it is for, the other, ``tap…``, into the bridge of its network.
"""

from neutron.agent.linux import ip_lib
from neutron.agent.linux.bridge_lib import BridgeDevice
from neutron.agent.linux.interface import LinuxInterfaceDriver
from neutron_lib import constants
from neutron_lib.api.definitions import portbindings
from neutron_lib.plugins.ml2 import api

from tests.openstack.network import bridge_of, tap


class Binder(api.MechanismDriver):  # type: ignore[misc]
    """Binds whatever is asked for."""

    def initialize(self) -> None:
        pass

    @property
    def connectivity(self) -> str:
        return str(portbindings.CONNECTIVITY_L2)

    def bind_port(self, context: api.PortContext) -> None:
        context.set_binding(
            context.segments_to_bind[0][api.ID],
            portbindings.VIF_TYPE_OVS,
            {portbindings.CAP_PORT_FILTER: False},
            status=constants.PORT_STATUS_ACTIVE,
        )


class Plugger(LinuxInterfaceDriver):  # type: ignore[misc]
    """Plugs veth pairs into bridges."""

    def plug_new(
        self,
        network_id: str,
        port_id: str,
        device_name: str,
        mac_address: str,
        bridge: str | None = None,
        namespace: str | None = None,
        prefix: str | None = None,
        mtu: int | None = None,
    ) -> None:
        bridged, inner = ip_lib.IPWrapper().add_veth(
            tap(port_id), device_name, namespace2=namespace
        )
        inner.link.set_address(mac_address)
        inner.link.set_up()
        switch = BridgeDevice.addbr(bridge_of(network_id))
        switch.addif(bridged.name)
        bridged.link.set_up()
        switch.link.set_up()

    def unplug(
        self,
        device_name: str,
        bridge: str | None = None,
        namespace: str | None = None,
        prefix: str | None = None,
    ) -> None:
        device = ip_lib.IPDevice(device_name, namespace=namespace)
        if device.exists():
            device.link.delete()
