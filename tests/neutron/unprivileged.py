"""An agent process (``agent_process``) that is a plain user's, and the root that it may ask."""

import json
import os
import shutil
import signal
import socket
import struct
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

from ctherd import process
from ctherd.process import Child

UID: Final = 64999
"""Nobody has it: a number is enough for the kernel."""

_HERE: Final = Path(__file__).parent
_PATIENCE_S: Final = 60.0

_CONFIG: Final = """\
[DEFAULT]
state_path = {home}
transport_url = fake:/
host = network-node
log_file = {home}/agent.log
rpc_response_timeout = 20
[agent]
extensions = {extensions}
[ctherd]
sweep_interval = 3600
pull_interval = 3600
{ctherd}
[privsep_ctherd]
helper_command = env PATH=/usr/bin:/bin python3 -I {ask} {home}/root --config-file {config}
{privsep}
"""


class Refused(Exception):
    """The process raised something: its class, and its words."""


class Root:
    """Starts privsep-helper for the user, as sudo would, and nothing else."""

    def __init__(self, path: Path) -> None:
        self._started: list[Child] = []
        self._log = path.with_name("daemons.log")
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(str(path))
        path.chmod(0o666)
        self._door.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        self._thread.join()
        for started in self._started:
            started.kill()  # with the daemon that it left

    def _serve(self) -> None:
        while True:
            try:
                caller, _ = self._door.accept()
            except OSError:
                return
            with caller:
                raw = caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
                assert struct.unpack("3i", raw)[1] == UID
                given = json.loads(caller.makefile().readline())
                helper = Path(sysconfig.get_path("scripts"), "privsep-helper")
                command = [sys.executable, "-W", "ignore", str(helper), *given]
                started = process.spawn(command, log=self._log)
                self._started.append(started)
                caller.sendall(f"{started.wait(_PATIENCE_S)}\n".encode())


class AgentProcess:
    """The process; ``order`` has it do something."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._child: Child | None = None

    @classmethod
    @contextmanager
    def at_home(cls) -> Iterator[Self]:
        """Have a place for a process: its state stays there from one to the next."""
        home = Path(tempfile.mkdtemp(prefix="ctherd-neutron-"))
        os.chown(home, UID, UID)
        root = Root(home / "root")
        agent = cls(home)
        try:
            yield agent
        finally:
            agent.kill()
            root.close()
            shutil.rmtree(home)

    def start(
        self, extensions: str = "ctherd", *, ctherd: str = "", privsep: str = "", **env: str
    ) -> Any:
        """Start it, and load the extension."""
        self.configure(extensions, ctherd=ctherd, privsep=privsep)
        become = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups"]
        command = [*become, sys.executable, str(_HERE / "agent_process.py")]
        env |= {"PYTHONPATH": str(_HERE.parents[1]), "HOME": str(self.home)}
        self._child = process.spawn([*command, str(self.home / "neutron.conf")], env=env)
        assert self._read() == "ready"
        return self.order("load")

    def configure(self, extensions: str = "ctherd", *, ctherd: str = "", privsep: str = "") -> None:
        text = _CONFIG.format(
            home=self.home,
            config=self.home / "neutron.conf",
            extensions=extensions,
            ctherd=ctherd,
            privsep=privsep,
            ask=_HERE / "ask_root.py",
        )
        (self.home / "neutron.conf").write_text(text)

    def order(self, order: str, **arguments: Any) -> Any:
        self.child.write_line(json.dumps([order, arguments]))
        answer = self._read()
        if isinstance(answer, dict) and "raised" in answer:
            raise Refused(answer["raised"], answer["words"])
        return answer

    def kill(self) -> None:
        """End it as the kernel ends what is out of memory."""
        if self._child is not None:
            self._child.signal(signal.SIGKILL)
            self._child.wait(_PATIENCE_S)
            self._child.kill()
            self._child = None

    @property
    def child(self) -> Child:
        assert self._child is not None, "it was not started"
        return self._child

    @property
    def log(self) -> str:
        """What it, and any before it at this home, has said."""
        log = self.home / "agent.log"
        return (log.read_text() if log.exists() else "") + self.child.complaints()

    def daemon(self) -> int:
        """Return the process id of its privileged daemon."""
        address = str(self.home)
        (pid,) = (
            int(each.name)
            for each in Path("/proc").iterdir()
            if each.name.isdigit() and _is_daemon(_command_line(each), address)
        )
        return pid

    def _read(self) -> Any:
        line = self.child.read_line(_PATIENCE_S)
        assert line, self.log
        return json.loads(line)


def _is_daemon(command_line: str, address: str) -> bool:
    return address in command_line and "privsep-helper" in command_line


def _command_line(process_dir: Path) -> str:
    try:
        return (process_dir / "cmdline").read_text()
    except OSError:
        return ""
