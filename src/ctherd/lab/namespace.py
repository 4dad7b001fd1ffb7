"""A named network namespace, and programs that run inside it."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ctherd import process
from ctherd.errors import NetnsAbsent
from ctherd.netns.enter import entered
from ctherd.process import Child, Completed

NETNS_DIR: Final = Path("/run/netns")
"""Where ``ip netns`` keeps names; ctherd looks there as well."""


@dataclass(frozen=True, slots=True)
class Namespace:
    """One namespace. Nothing of it is kept open, so that it dies when its name is removed."""

    name: str

    def run(
        self,
        argv: Sequence[str],
        *,
        input: str | bytes | None = None,
        timeout_s: float = 10.0,
        check: bool = True,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run a program here to its end; see ``process.run``."""
        with self.opened() as netns_fd:
            return process.run(
                argv, input=input, timeout_s=timeout_s, check=check, netns_fd=netns_fd, env=env
            )

    def spawn(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> Child:
        """Start a program here that goes on beside us; see ``process.spawn``."""
        with self.opened() as netns_fd:
            return process.spawn(argv, netns_fd=netns_fd, env=env, log=log)

    def nft(self, ruleset: str) -> Completed:
        """Load *ruleset* with nft, in one transaction."""
        return self.run(["nft", "-f", "-"], input=ruleset)

    def set_sysctl(self, name: str, value: int) -> None:
        """Set the sysctl ``net.<name>``, spelled with slashes, of this namespace alone."""
        # Opening it decides which namespace is meant, so no program has to be run for that.
        with self.inside():
            Path("/proc/sys/net", name).write_text(f"{value}\n", encoding="ascii")

    def sysctl(self, name: str) -> str:
        """Return the sysctl ``net.<name>``, spelled with slashes, of this namespace.

        Raises: OSError if there is none.
        """
        with self.inside():
            return Path("/proc/sys/net", name).read_text(encoding="ascii").strip()

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Let the calling thread be here; sockets that it makes meanwhile stay here.

        Raises: NetnsAbsent.
        """
        with self.opened() as netns_fd, entered(netns_fd):
            yield

    @contextmanager
    def opened(self) -> Iterator[int]:
        """Hold a descriptor of the namespace.

        Raises: NetnsAbsent.
        """
        try:
            netns_fd = os.open(NETNS_DIR / self.name, os.O_RDONLY)
        except FileNotFoundError as error:
            raise NetnsAbsent("there is no such network namespace", where=self.name) from error
        try:
            yield netns_fd
        finally:
            os.close(netns_fd)


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs *module* of ours with the interpreter that runs us.

    What happens to lie in the working directory is not imported (we are root).
    """
    return [sys.executable, "-P", "-m", module, *arguments]
