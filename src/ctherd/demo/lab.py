"""The whole lab at once: a topology whose server serves a payload by FTP and TFTP."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Self

from ctherd.demo import services, transfers
from ctherd.demo.services import Payload
from ctherd.demo.transfers import Attempt, Loop, Way
from ctherd.lab.topology import Topology


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab in operation; the topology is ``net``, the payload ``served``."""

    net: Topology
    served: Payload

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[Self]:
        """Build the lab and serve on it; afterwards everything is gone.

        Raises: PrivilegeMissing unless we are root; ConfigurationError without the libraries.
        """
        with (
            services.payload() as served,
            Topology.build() as net,
            services.ftp(net.server, served),
            services.tftp(net.server, served),
        ):
            yield cls(net, served)

    def attempt(self, way: Way) -> Attempt:
        """Fetch the payload once."""
        return transfers.attempt(self.net.client, self.net.server, way, self.served)

    def loop(self, way: Way) -> AbstractContextManager[Loop]:
        """Fetch the payload again and again, beside what else happens."""
        return Loop.running(self.net.client, self.net.server, way, self.served)
