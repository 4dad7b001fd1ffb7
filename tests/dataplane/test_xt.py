"""Blobs of xtables extensions, as iptables-nft up to 1.8.7 and later write them into rules."""

import struct

import pytest

from ctherd.dataplane.finding import PortRange
from ctherd.dataplane.xt import CtTarget, PortMatch, ct_target, port_match

FTP = PortRange(21, 21)
HIGH = PortRange(1024, 65535)


def tcp(source: tuple[int, int], destination: tuple[int, int], inverted: int = 0) -> bytes:
    """Encode struct xt_tcp."""
    return struct.pack("=HHHHBBBB", *source, *destination, 0, 0, 0, inverted)


def udp(source: tuple[int, int], destination: tuple[int, int], inverted: int = 0) -> bytes:
    """Encode struct xt_udp, with its padding."""
    return struct.pack("=HHHHBx", *source, *destination, inverted)


def multiport(side: int, ports: list[int], begins: list[int], inverted: int = 0) -> bytes:
    """Encode struct xt_multiport_v1."""
    blob = struct.pack("=BB15H", side, len(ports), *ports, *[0] * (15 - len(ports)))
    return blob + bytes([*begins, *[0] * (15 - len(begins)), inverted])


@pytest.mark.parametrize(
    ("name", "blob", "found"),
    [
        ("tcp", tcp((0, 65535), (21, 21)), PortMatch((), (FTP,))),
        ("tcp", tcp((1024, 65535), (21, 21)), PortMatch((HIGH,), (FTP,))),
        ("tcp", tcp((0, 65535), (21, 21), inverted=2), PortMatch()),
        ("udp", udp((21, 21), (0, 65535)), PortMatch((FTP,), ())),
        ("udp", udp((21, 21), (21, 21), inverted=1), PortMatch((), (FTP,))),
        ("multiport", multiport(1, [21, 1024, 65535], [0, 1]), PortMatch((), (FTP, HIGH))),
        ("multiport", multiport(0, [21], []), PortMatch((FTP,), ())),
        ("multiport", multiport(2, [21], []), PortMatch((), (FTP,))),
        ("multiport", multiport(1, [21], [], inverted=1), PortMatch()),
        ("multiport", b"\1", PortMatch()),
        ("tcp", b"", PortMatch()),
        ("conntrack", bytes(64), PortMatch()),
    ],
)
def test_ports_are_read_and_what_is_not_understood_means_any(
    name: str, blob: bytes, found: PortMatch
) -> None:
    """Negated ports, short blobs and other matches narrow nothing."""
    assert port_match(name, 1, blob) == found


def test_the_first_revision_of_multiport_has_no_ranges() -> None:
    """Its blob ends after the ports."""
    blob = multiport(1, [21, 22], [])[:32]
    assert port_match("multiport", 0, blob) == PortMatch((), (FTP, PortRange(22, 22)))


@pytest.mark.parametrize("tail", [8, 40])
def test_the_ct_target_is_read_in_every_revision(tail: int) -> None:
    """Revision 1 has a timeout after the helper, which does not matter here."""
    blob = struct.pack("=HHII16s", 0, 7, 0, 0, b"Q.931") + bytes(tail)
    assert ct_target("CT", blob) == CtTarget(notrack=False, helper="Q.931")
    assert ct_target("CT", b"\1\0" + bytes(26 + tail)) == CtTarget(notrack=True, helper="")


def test_other_targets_are_none() -> None:
    """NOTRACK has no blob; a CT that is too short is not guessed at."""
    assert ct_target("NOTRACK", b"") == CtTarget(notrack=True, helper="")
    assert ct_target("TRACE", bytes(64)) is None
    assert ct_target("CT", b"\1") is None
