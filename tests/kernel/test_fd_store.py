"""systemd's fd store, played by the test: the table stays guarded while no agent lives."""

import array
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ctherd.lab.namespace import Namespace
from tests.kernel.conftest import MakeNetns

pytestmark = pytest.mark.usefixtures("only_agent")


@contextmanager
def manager(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.settimeout(20)
        listener.bind(str(path))
        yield listener


def start(directory: Path, kept: int | None = None, name: str = "") -> "subprocess.Popen[bytes]":
    """Start the agent as systemd does: with the kept descriptor as number 3, and its own pid."""
    agent = f"exec {sys.executable} -m ctherd --config {directory}/ctherd.toml agent"
    given = f"LISTEN_FDS=1 LISTEN_FDNAMES={name} LISTEN_PID=$$"
    script = agent if kept is None else f"exec 3<&{kept}; {given} {agent}"
    return subprocess.Popen(
        ["bash", "-c", script],
        env={**os.environ, "NOTIFY_SOCKET": str(directory / "notify")},
        pass_fds=() if kept is None else (kept,),
    )


@dataclass
class Store:
    """The descriptors that the agent gave into keeping, by name, and the names it took out."""

    kept: dict[str, int] = field(default_factory=dict)
    taken_out: list[str] = field(default_factory=list)

    def hear(self, listener: socket.socket, until: Callable[[str], bool]) -> None:
        """Do as the agent says, until it has said something."""
        while True:
            message, ancillary, _, _ = listener.recvmsg(4096, socket.CMSG_SPACE(4))
            said = dict(line.split("=", 1) for line in message.decode().splitlines())
            if "FDSTORE" in said:
                ((_, _, data),) = ancillary
                (self.kept[said["FDNAME"]],) = array.array("i", data)
            if "FDSTOREREMOVE" in said:
                self.taken_out.append(said["FDNAME"])
            if until(message.decode()):
                return

    def close(self) -> None:
        for fd in self.kept.values():
            os.close(fd)


def until_ready(listener: socket.socket) -> Store:
    store = Store()
    store.hear(listener, lambda said: "READY=1" in said)
    return store


def delete_table(netns: Namespace) -> str:
    argv = ["ip", "netns", "exec", netns.name, "nft", "delete", "table", "inet", "ctherd"]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stderr


def declare(directory: Path, *netns: Namespace) -> None:
    helper = {"helper": "ftp", "protocol": "tcp", "port": 21}
    routers = [{"name": each.name, "netns": each.name, "helpers": [helper]} for each in netns]
    (directory / "draft").write_text(json.dumps({"version": 1, "routers": routers}))
    (directory / "draft").rename(directory / "herd.yaml")
    (directory / "ctherd.toml").write_text(
        f'file = "{directory}/herd.yaml"\nstate_dir = "{directory}/state"\nmetrics = ""\n'
    )


def test_the_table_is_guarded_between_two_agents(tmp_path: Path, netns: Namespace) -> None:
    """Between `kill -9` and restart others are refused too, and the new agent owns the table."""
    declare(tmp_path, netns)
    with manager(tmp_path / "notify") as listener:
        first = start(tmp_path)
        ((name, kept),) = until_ready(listener).kept.items()
        first.kill()
        first.wait()
        assert "Operation not permitted" in delete_table(netns)
        second = start(tmp_path, kept, name)
        try:
            again = until_ready(listener)
            os.close(kept)
            assert "Operation not permitted" in delete_table(netns)
        finally:
            second.terminate()
            assert second.wait(20) == 0
        assert list(again.kept) == [name], "what was kept is given into keeping again"
        assert again.taken_out == []
        again.close()
    assert delete_table(netns) == "", "a table that nobody keeps is not guarded any more"


def test_what_left_the_file_is_not_kept(tmp_path: Path, make_netns: MakeNetns) -> None:
    """A descriptor in the store would keep the netns of a router that is none any more alive."""
    stays, leaves = make_netns(), make_netns()
    declare(tmp_path, stays, leaves)
    with manager(tmp_path / "notify") as listener:
        agent = start(tmp_path)
        try:
            store = until_ready(listener)
            declare(tmp_path, stays)
            store.hear(listener, lambda said: "FDSTOREREMOVE" in said)
        finally:
            agent.terminate()
            assert agent.wait(20) == 0
    assert store.taken_out == [f"ctherd-{leaves.name}"]
    store.close()


def test_what_nobody_asked_for_after_a_restart_is_not_kept(
    tmp_path: Path, make_netns: MakeNetns
) -> None:
    """While no agent ran, a netns was deleted; the store's descriptor is all that keeps it."""
    stays, dies = make_netns(), make_netns()
    declare(tmp_path, stays, dies)
    with manager(tmp_path / "notify") as listener:
        first = start(tmp_path)
        kept = until_ready(listener).kept
        first.kill()
        first.wait()
        subprocess.run(["ip", "netns", "del", dies.name], check=True)
        name = f"ctherd-{dies.name}"
        second = start(tmp_path, kept[name], name)
        try:
            assert until_ready(listener).taken_out == [name]
        finally:
            second.terminate()
            assert second.wait(20) == 0
    for fd in kept.values():
        os.close(fd)
