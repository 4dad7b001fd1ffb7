"""A machine of its own within this one: what its programs do to it, nobody else can see.

A Neutron L3 agent deletes every namespace ``qrouter-*`` that it does not know, and changes sysctls
of the namespace that it runs in. So it runs with mounts, a network and process ids of its own;
``/run`` (with ``/run/netns`` and all locks) and ``/etc`` (with users and what they may) are its own
too.
"""

import os
import shutil
import signal
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from ctherd import process
from ctherd.lab.namespace import Namespace
from ctherd.process import Child, Completed

USER: Final = "neutron"
UID: Final = 64042
CHECKOUT: Final = Path(__file__).parents[2]
BIN: Final = Path(sysconfig.get_path("scripts"))
STATE: Final = "/run/stack"

_ENVIRONMENT: Final = {
    "PATH": f"{BIN}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": STATE,
    "PYTHONWARNINGS": "ignore",
    "TMPDIR": "/run/tmp",
    "PYTHONPATH": f"{CHECKOUT}:{STATE}/plugins",
}


class Program:
    """A program that runs on the machine; *log* has everything that it said."""

    def __init__(self, child: Child, log: Path) -> None:
        self._child = child
        self.log = log

    @property
    def pid(self) -> int:
        """The process itself, as the host counts: our child only waits for it."""
        return _only_child(self._child.pid)

    def runs(self) -> bool:
        return self._child.returncode() is None

    def workers(self) -> list[int]:
        """Return the processes that it started and that still are its children."""
        return _children(self.pid)

    def end(self, within_s: float = 30.0) -> None:
        """Ask it to end, and wait until it has; one that does not is an error."""
        if self.runs():
            os.kill(self.pid, signal.SIGTERM)
        self._child.wait(within_s)
        self._child.kill()

    def kill(self) -> None:
        """Kill it and its workers at once, without asking."""
        if self.runs():
            os.killpg(os.getpgid(self.pid), signal.SIGKILL)
        self._child.kill()


class Machine:
    """The machine, once it is up; ``root`` is its file system as we see it."""

    def __init__(self, pid: int, logs: Path) -> None:
        self._pid = pid
        self.logs = logs
        self.root = Path(f"/proc/{pid}/root")

    @classmethod
    @contextmanager
    def booted(cls, logs: Path) -> Iterator[Self]:
        """Boot it; afterwards every program on it has ended, and nothing is left of its files."""
        own = ("--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
        init = Path(__file__).with_name("machine_init.py")
        command = ["unshare", *own, "--propagation", "private", sys.executable, "-I", str(init)]
        with process.spawn([*command, str(CHECKOUT), USER, str(UID)]) as child:
            assert child.read_line(30.0) == "ready", child.complaints()
            yield cls(_only_child(child.pid), logs)

    def run(
        self, *argv: str, user: str | None = None, timeout_s: float = 60.0, check: bool = True
    ) -> Completed:
        """Run a program on the machine to its end."""
        return process.run(self._command(argv, user, {}), timeout_s=timeout_s, check=check)

    def spawn(
        self, name: str, argv: Sequence[str], *, env: Mapping[str, str] | None = None
    ) -> Program:
        """Start a program as the unprivileged user; it goes on beside us, and says *name*.log."""
        log = self.logs / f"{name}.log"
        return Program(process.spawn(self._command(argv, USER, env or {}), log=log), log)

    def processes(self, words: str) -> list[str]:
        """Return the ids, as the machine counts, of what was started with *words*."""
        return self.run("pgrep", "-f", "--", words, check=False).stdout.split()

    def path(self, path: str) -> Path:
        """Return how we reach *path* of the machine."""
        return self.root / path.lstrip("/")

    def write(self, path: str, text: str) -> None:
        """Write a file of the machine, which its user may read."""
        target = self.path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def has_netns(self, name: str) -> bool:
        """Tell whether a namespace is there; for a moment its name is that of an empty file."""
        place = self.path(f"/run/netns/{name}")
        try:
            return place.stat().st_dev != place.parent.stat().st_dev
        except FileNotFoundError:
            return False

    def cable(self, end: str, other: "Machine", other_end: str) -> None:
        """Have a link *end* here whose peer is *other_end* on another machine; both are up."""
        here, there = ("netns", str(self._pid)), ("netns", str(other._pid))
        process.run(["ip", "link", "add", end, *here, "type", "veth", "peer", other_end, *there])
        self.run("ip", "link", "set", end, "up")
        other.run("ip", "link", "set", other_end, "up")

    def netns(self, name: str) -> Namespace:
        """Return a namespace that has a name on the machine, for use from outside."""
        return Namespace(str(self.path(f"/run/netns/{name}")))

    def _command(self, argv: Sequence[str], user: str | None, env: Mapping[str, str]) -> list[str]:
        enter = ["nsenter", f"--target={self._pid}", "--mount", "--net", "--pid", "--"]
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--"]
        spelled = (f"{key}={value}" for key, value in {**_ENVIRONMENT, **env}.items())
        return [*enter, *(become if user else []), "env", "-i", *spelled, *argv]


def missing_programs() -> list[str]:
    """Return which programs the machine needs and this one lacks."""
    needed = (
        "mariadbd", "rabbitmq-server", "sudo", "keepalived", "radvd", "curl", "nsenter", "unshare",
        "setpriv",
    )  # fmt: skip
    return [each for each in needed if shutil.which(each, path=_ENVIRONMENT["PATH"]) is None]


def _only_child(pid: int) -> int:
    (child,) = _children(pid)
    return child


def _children(pid: int) -> list[int]:
    # Each thread has its own: a worker need not have been started by the first one.
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for each in lists for child in each.read_text(encoding="ascii").split()]
