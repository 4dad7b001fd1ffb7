"""Client, NAT router and server on the real kernel, and the commands over a herd file.

Every test of a file named ``test_kernel_*`` is marked ``root``.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ctherd.lab.topology import Topology
from tests.kernel.host import Host

_HERE = Path(__file__).parent

DATAPLANES = ("nftables", "iptables-nft", "iptables-legacy")
FTP = ("ftp", "tcp", 21)
TFTP = ("tftp", "udp", 69)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == _HERE and item.path.name.startswith("test_kernel_"):
            item.add_marker(pytest.mark.root)


@pytest.fixture(params=DATAPLANES)
def dataplane(request: pytest.FixtureRequest) -> str:
    """Each dataplane in its turn."""
    return str(request.param)


@pytest.fixture
def topology() -> Iterator[Topology]:
    """Client, NAT router and server, without any service."""
    with Topology.build() as net:
        yield net


class Verified:
    """A router ``edge`` in a namespace, what is declared there, and `ctherd verify` of it."""

    def __init__(self, host: Host, netns: str, dataplane: str) -> None:
        self.host = host
        self.netns = netns
        self.dataplane = dataplane
        self._options = ("--dataplane", dataplane)
        config = host.command.directory / "ctherd.toml"
        config.write_text(f'file = "{host.command.herd}"\n{config.read_text()}')

    def apply(self, *helpers: tuple[Any, ...]) -> None:
        """Declare (helper, protocol, port[, destinations]) each, and make it true."""
        herd = {
            "version": 1,
            "routers": [
                {
                    "name": "edge",
                    "netns": self.netns,
                    "helpers": [
                        {
                            "helper": helper,
                            "protocol": protocol,
                            "port": port,
                            **({"destinations": list(to[0])} if to else {}),
                        }
                        for helper, protocol, port, *to in helpers
                    ],
                }
            ],
        }
        self.host.command.herd.write_text(json.dumps(herd))
        self.ctherd("apply")

    def ctherd(self, *words: str, expect: int = 0) -> str:
        return self.host.ctherd(*words, *self._options, expect=expect)

    def verify(self, *words: str, expect: int = 0) -> dict[tuple[str, str], dict[str, Any]]:
        """Return the evidence by helper and family."""
        answer = json.loads(self.ctherd("verify", "edge", *words, "-o", "json", expect=expect))
        (router,) = answer["routers"]
        return {(each["helper"], each["family"]): each for each in router["evidence"]}

    def shown(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Return the evidence as `ctherd show` has it."""
        answer = json.loads(self.ctherd("show", "-o", "json"))
        (router,) = answer["routers"]
        return {
            (each["helper"], family): found
            for each in router["assignments"]
            for family, found in each["evidence"].items()
        }


MakeVerified = Callable[[str], Verified]


@pytest.fixture
def edge(tmp_path: Path, topology: Topology, dataplane: str) -> Verified:
    """The router of the topology, by each dataplane."""
    return Verified(Host(tmp_path), topology.router.name, dataplane)


@pytest.fixture
def nft_edge(tmp_path: Path, topology: Topology) -> Verified:
    """The router of the topology, by nftables alone."""
    return Verified(Host(tmp_path), topology.router.name, "nftables")
