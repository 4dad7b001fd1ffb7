"""What arrives at a station is counted once, by its port, whoever it is for."""

import socket

import pytest

from ctherd.lab.arrivals import Arrivals, udp_destination
from ctherd.lab.topology import TFTP_PORT, Topology
from ctherd.model.catalog import Family

V4_WITH_OPTIONS = bytes([0x46, *bytes(8), 17, *bytes(14), 0x30, 0x39, 0x00, 0x45])
V6 = bytes([0x60, *bytes(5), 17, *bytes(33), 0x30, 0x39, 0x00, 0x45])


@pytest.mark.parametrize("packet", [V4_WITH_OPTIONS, V6])
def test_the_port_is_found_in_either_family(packet: bytes) -> None:
    """Options of IPv4 are skipped; what is cut short or no UDP has no port."""
    assert udp_destination(packet) == 69
    assert {udp_destination(packet[:size]) for size in range(len(packet))} == {None}
    assert udp_destination(packet.replace(b"\x11", b"\x06")) is None


@pytest.mark.root
@pytest.mark.parametrize("family", list(Family))
def test_only_what_comes_to_the_port_is_counted_and_once(family: Family) -> None:
    """Nobody listens, and it is counted; what the firewall drops, and what we send, is not."""
    with Topology.build() as net, Arrivals.at(net.server, TFTP_PORT) as arrivals:
        with net.client.inside():
            kind = socket.AF_INET if family is Family.IPV4 else socket.AF_INET6
            client = socket.socket(kind, socket.SOCK_DGRAM)
        with client:
            for port in (TFTP_PORT, TFTP_PORT + 1, TFTP_PORT):
                client.sendto(b"anybody?", (net.server.address(family), port))
        assert [arrivals.count(), arrivals.count()] == [2, 0]
