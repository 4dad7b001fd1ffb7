"""The files in /etc/neutron: the agent is not root, and has sudo and rootwrap, as operators do."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.openstack.machine import BIN, STATE, Machine

HOST: Final = "network-node"
SERVER_FILES: Final = ("neutron.conf", "ml2_conf.ini")
AGENT_FILES: Final = ("neutron.conf", "l3_agent.ini")

_NEUTRON: Final = """\
[DEFAULT]
core_plugin = ml2
service_plugins = router,conntrack_helper
auth_strategy = noauth
# A question that the broker took with it is asked again soon.
rpc_response_timeout = 10
transport_url = rabbit://guest:guest@{broker}:5672/
state_path = {state}/state
api_paste_config = /etc/neutron/api-paste.ini
host = {host}
rpc_workers = 1
rpc_state_report_workers = 0
agent_down_time = 20
notify_nova_on_port_status_changes = false
notify_nova_on_port_data_changes = false
max_l3_agents_per_router = 1
# So that fifty routers of a test find room.
[quotas]
quota_router = -1
quota_network = -1
quota_subnet = -1
quota_port = -1
[database]
# On PostgreSQL the migrations stop: they contain SQL that only MySQL knows.
connection = mysql+pymysql://root@127.0.0.1/neutron?charset=utf8mb4
[oslo_messaging_rabbit]
# A broker that comes back is met soon.
rabbit_retry_interval = 1
rabbit_interval_max = 1
kombu_reconnect_delay = 0.2
[oslo_concurrency]
lock_path = {state}/state/lock
[agent]
root_helper = sudo {bin}/neutron-rootwrap /etc/neutron/rootwrap.conf
report_interval = 2
"""

_ML2: Final = """\
[ml2]
type_drivers = local
tenant_network_types = local
mechanism_drivers = test_switch
extension_drivers =
[securitygroup]
enable_security_group = false
"""

_L3_AGENT: Final = """\
[DEFAULT]
interface_driver = tests.openstack.switch.Plugger
agent_mode = {mode}
enable_metadata_proxy = false
ha_vrrp_advert_int = 1
ha_confs_path = {state}/state/ha_confs
{defaults}
[agent]
extensions = {extensions}
"""

_ROOTWRAP: Final = f"""\
[DEFAULT]
filters_path = /etc/neutron/rootwrap.d
exec_dirs = {BIN},/usr/sbin,/usr/bin,/sbin,/bin
"""

_ENTRY_POINTS: Final = """\
[neutron.ml2.mechanism_drivers]
test_switch = tests.openstack.switch:Binder
"""


def install(machine: Machine, host: str = HOST, broker: str = "127.0.0.1") -> None:
    """Write everything but what the agent is to load; *broker* is an address."""
    shipped = BIN.parent / "etc/neutron"
    machine.write("/etc/neutron/api-paste.ini", (shipped / "api-paste.ini").read_text())
    # As Neutron ships them: nothing of ours has to be allowed.
    for filters in (shipped / "rootwrap.d").iterdir():
        machine.write(f"/etc/neutron/rootwrap.d/{filters.name}", filters.read_text())
    machine.write("/etc/neutron/rootwrap.conf", _ROOTWRAP)
    neutron = _NEUTRON.format(state=STATE, bin=BIN, host=host, broker=broker)
    machine.write("/etc/neutron/neutron.conf", neutron)
    machine.write("/etc/neutron/ml2_conf.ini", _ML2)
    metadata = "Metadata-Version: 2.1\nName: ctherd-test-switch\nVersion: 0\n"
    plugin = Path(STATE, "plugins/ctherd_test_switch-0.dist-info")
    machine.write(f"{plugin}/METADATA", metadata)
    machine.write(f"{plugin}/entry_points.txt", _ENTRY_POINTS)


@dataclass(frozen=True)
class Setup:
    """What an L3 agent is to load and how it is to work.

    Shape: *options* are lines of ``[ctherd]``, *defaults* of ``[DEFAULT]``.
    """

    extensions: str
    mode: str = "legacy"
    options: tuple[str, ...] = ()
    defaults: tuple[str, ...] = ()

    def install(self, machine: Machine) -> None:
        """Write it where the agent reads it."""
        text = _L3_AGENT.format(
            mode=self.mode,
            state=STATE,
            defaults="\n".join(self.defaults),
            extensions=self.extensions,
        )
        lines = "\n".join(("[ctherd]", *self.options, ""))
        machine.write("/etc/neutron/l3_agent.ini", text + lines)


IN_TREE: Final = Setup("conntrack_helper")
CTHERD: Final = Setup("ctherd")
OFTEN: Final = Setup("ctherd", options=("pull_interval = 1",))
