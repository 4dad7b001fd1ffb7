"""The settings of the copy: those below ``net`` that decide which packets pass, and how far."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ctherd.netns.enter import entered
from ctherd.verify.copy.missing import Missing

_NET: Final = Path("/proc/sys/net")
_PATTERNS: Final = (
    "ipv4/ip_forward",
    "ipv4/ip_nonlocal_bind",
    "ipv4/fwmark_reflect",
    "ipv4/conf/*/forwarding",
    "ipv4/conf/*/rp_filter",
    "ipv4/conf/*/src_valid_mark",
    "ipv4/conf/*/accept_local",
    "ipv4/conf/*/accept_source_route",
    "ipv4/conf/*/route_localnet",
    "ipv4/conf/*/arp_filter",
    "ipv4/conf/*/arp_ignore",
    "ipv4/conf/*/arp_announce",
    "ipv4/conf/*/proxy_arp",
    "ipv6/conf/*/disable_ipv6",
    "ipv6/conf/*/forwarding",
    "ipv6/conf/*/proxy_ndp",
    "ipv6/conf/*/accept_source_route",
    "netfilter/nf_conntrack_*",
)
# Not settings, or of all namespaces together.
_LEFT_OUT: Final = frozenset(
    (
        "nf_conntrack_count",
        "nf_conntrack_max",
        "nf_conntrack_buckets",
        "nf_conntrack_expect_max",
        "nf_conntrack_events",  # without them nobody would hear of an expectation
    )
)


def copy_sysctls(from_fd: int, to_fd: int, missing: Missing) -> None:
    """Copy what differs; interfaces must be there already.

    Raises: OSError if a netns may not be entered.
    """
    wanted = dict(_read(from_fd))
    present = dict(_read(to_fd))
    with entered(to_fd):
        for name, value in wanted.items():
            if present.get(name, value) != value:
                _write(name, value, missing)
        # Addresses that are being looked for twice cannot be used for a second or two.
        for path in _NET.glob("ipv6/conf/*/accept_dad"):
            path.write_text("0\n", encoding="ascii")


def _read(netns_fd: int) -> Iterator[tuple[str, str]]:
    with entered(netns_fd):
        for pattern in _PATTERNS:
            for path in _NET.glob(pattern):
                if path.name not in _LEFT_OUT:
                    try:
                        yield str(path.relative_to(_NET)), path.read_text(encoding="ascii")
                    except OSError:
                        continue  # one that can only be written, or went away


def _write(name: str, value: str, missing: Missing) -> None:
    try:
        (_NET / name).write_text(value, encoding="ascii")
    except OSError as error:
        missing.add(f"sysctl net.{name.replace('/', '.')} = {value.strip()}: {error.strerror}")
