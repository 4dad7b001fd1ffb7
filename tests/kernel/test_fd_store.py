"""systemd's fd store, played by the test: the table stays guarded while no agent lives."""

import array
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ctherd.lab.namespace import Namespace


@contextmanager
def manager(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.settimeout(20)
        listener.bind(str(path))
        yield listener


def start(directory: Path, kept: int | None = None) -> "subprocess.Popen[bytes]":
    """Start the agent as systemd does: with the kept descriptor as number 3, and its own pid."""
    agent = f"exec {sys.executable} -m ctherd --config {directory}/ctherd.toml agent"
    script = agent if kept is None else f"exec 3<&{kept}; LISTEN_FDS=1 LISTEN_PID=$$ {agent}"
    return subprocess.Popen(
        ["bash", "-c", script],
        env={**os.environ, "NOTIFY_SOCKET": str(directory / "notify")},
        pass_fds=() if kept is None else (kept,),
    )


def until_ready(listener: socket.socket) -> int | None:
    """Wait for READY=1; return the descriptor that was given into keeping before."""
    kept = None
    while True:
        message, ancillary, _, _ = listener.recvmsg(4096, socket.CMSG_SPACE(4))
        if message.startswith(b"FDSTORE=1"):
            ((_, _, data),) = ancillary
            (kept,) = array.array("i", data)
        if b"READY=1" in message:
            return kept


def delete_table(netns: Namespace) -> str:
    argv = ["ip", "netns", "exec", netns.name, "nft", "delete", "table", "inet", "ctherd"]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stderr


def test_the_table_is_guarded_between_two_agents(tmp_path: Path, netns: Namespace) -> None:
    """Between `kill -9` and restart others are refused too, and the new agent owns the table."""
    helper = {"helper": "ftp", "protocol": "tcp", "port": 21}
    router = {"name": "edge", "netns": netns.name, "helpers": [helper]}
    herd = tmp_path / "herd.yaml"
    herd.write_text(json.dumps({"version": 1, "routers": [router]}))
    (tmp_path / "ctherd.toml").write_text(
        f'file = "{herd}"\nstate_dir = "{tmp_path}/state"\nmetrics = ""\n'
    )
    with manager(tmp_path / "notify") as listener:
        first = start(tmp_path)
        kept = until_ready(listener)
        first.kill()
        first.wait()
        assert kept is not None
        assert "Operation not permitted" in delete_table(netns)
        second = start(tmp_path, kept)
        try:
            again = until_ready(listener)
            os.close(kept)
            assert "Operation not permitted" in delete_table(netns)
        finally:
            second.terminate()
            assert second.wait(20) == 0
        assert again is not None, "what was kept is given into keeping again"
        os.close(again)
    assert delete_table(netns) == "", "a table that nobody keeps is not guarded any more"
