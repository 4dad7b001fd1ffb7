"""Conntrack helpers as Neutron's database has them."""

from uuid import uuid4

from neutron.objects.conntrack_helper import ConntrackHelper


def row(
    router: str, helper: str = "ftp", protocol: str = "tcp", port: int = 21, id: str = ""
) -> ConntrackHelper:
    """Return a row as the server sends it."""
    return ConntrackHelper(
        id=id or str(uuid4()), router_id=router, protocol=protocol, port=port, helper=helper
    )
