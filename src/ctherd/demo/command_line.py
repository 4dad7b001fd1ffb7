"""``ctherd`` as a user runs it: the real command line, as a process of its own."""

import os
import select
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ctherd import process
from ctherd.demo.story import Story
from ctherd.process import Child, CommandFailed, Completed

CTHERD: Final = (sys.executable, "-P", "-m", "ctherd")

_AGENT_START_S: Final = 20.0
_AGENT_END_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class CommandLine:
    """Runs ``ctherd`` over one herd file, with configuration and state of its own.

    Shape: *directory* holds all of them, and is left out when a command is shown.
    """

    story: Story
    directory: Path
    ctherd: Sequence[str] = CTHERD

    @property
    def herd(self) -> Path:
        """The herd file."""
        return self.directory / "herd.yaml"

    @property
    def state(self) -> Path:
        """The agent's state directory."""
        return self.directory / "state"

    @property
    def server_state(self) -> Path:
        """The server's state directory."""
        return self.state / "server"

    @property
    def log(self) -> Path:
        """What all agents said."""
        return self.directory / "agent.log"

    def configure(self, *, kill: Sequence[str] = ()) -> Path:
        """Write the configuration, with these helpers withdrawn by policy, and return its path."""
        path = self.directory / "ctherd.toml"
        killed = ", ".join(f'"{helper}"' for helper in kill)
        path.write_text(
            f'state_dir = "{self.state}"\nmetrics = ""\n[policy]\nkill = [{killed}]\n'
            f'[server]\nstate_dir = "{self.server_state}"\n',
            encoding="utf-8",
        )
        return path

    def run(self, *arguments: str, expect: int = 0) -> Completed:
        """Run one command, and show it.

        Raises: CommandFailed if it does not exit with *expect*.
        """
        completed = process.run(self._argv(arguments), timeout_s=60.0, check=False)
        self.story.command(f"ctherd {self._spelled(arguments)}", completed)
        if completed.returncode != expect:
            raise CommandFailed(
                f"ctherd {self._spelled(arguments)} exited with {completed.returncode}, "
                f"where {expect} was expected: {completed.output.strip()}"
            )
        return completed

    def agent(self, *options: str) -> AbstractContextManager[Child]:
        """Run an agent of the herd file, as ``daemon`` does."""
        return self.daemon("agent", "-f", str(self.herd), *options)

    @contextmanager
    def daemon(self, *arguments: str) -> Iterator[Child]:
        """Run a command that says when it is ready; afterwards it has ended, if not before.

        Raises: CommandFailed if it does not become ready, with what it said.
        """
        notify = self.directory / "notify"
        notify.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(str(notify))
            env = {"NOTIFY_SOCKET": str(notify)}
            with process.spawn(self._argv(arguments), env=env, log=self.log) as child:
                self.story.say(f"$ ctherd {self._spelled(arguments)} &   (pid {child.pid})")
                _await_ready(child, listener)
                yield child

    def watching(self, *arguments: str) -> Child:
        """Run a command that goes on telling, for ``read_line``."""
        return process.spawn(self._argv(arguments), env={"PYTHONUNBUFFERED": "1"})

    def end(self, agent: Child) -> None:
        """Ask *agent* to end, as systemd does.

        Raises: CommandFailed unless it does so without complaint.
        """
        returncode = agent.terminate(_AGENT_END_S)
        if returncode != 0:
            raise CommandFailed(f"the agent ended with {returncode} when it was told to end")

    def _argv(self, arguments: Sequence[str]) -> list[str]:
        config = str(self.directory / "ctherd.toml")
        return [*self.ctherd, "--config", config, *arguments]

    def _spelled(self, arguments: Sequence[str]) -> str:
        return " ".join(arguments).replace(f"{self.directory}/", "")


def _await_ready(child: Child, listener: socket.socket) -> None:
    # sd_notify(3), as systemd itself waits for the agent.
    pidfd = os.pidfd_open(child.pid)
    try:
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        poll.register(pidfd, select.POLLIN)
        while ready := {fd for fd, _ in poll.poll(_AGENT_START_S * 1000)}:
            if listener.fileno() in ready and b"READY=1" in listener.recv(4096).split(b"\n"):
                return
            if pidfd in ready:
                break
    finally:
        os.close(pidfd)
    raise CommandFailed(f"the agent did not become ready: {child.complaints()}")
