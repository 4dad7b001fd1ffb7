"""A herd file, the commands over it, an agent, and `nft` as the witness of what they did."""

import io
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ctherd.demo.command_line import CommandLine
from ctherd.demo.story import Story
from ctherd.lab.namespace import Namespace
from ctherd.process import Child

Routers = dict[str, list[tuple[str, str, int]]]

_PATIENCE_S = 10.0


class Host:
    """A herd file and the commands over it."""

    def __init__(self, directory: Path, *, own_table: bool = True) -> None:
        self.command = CommandLine(Story(io.StringIO()), directory)
        self.command.configure()
        config = directory / "ctherd.toml"
        own = "true" if own_table else "false"
        config.write_text(f"own_table = {own}\n" + config.read_text())

    def declare(self, routers: Routers) -> None:
        herd = {
            "version": 1,
            "routers": [
                {
                    "name": f"r-{netns}",
                    "netns": netns,
                    "helpers": [
                        {"helper": helper, "protocol": protocol, "port": port}
                        for helper, protocol, port in helpers
                    ],
                }
                for netns, helpers in routers.items()
            ],
        }
        draft = self.command.directory / "draft"
        draft.write_text(json.dumps(herd))
        draft.replace(self.command.herd)

    def ctherd(self, *words: str, expect: int = 0) -> str:
        return self.command.run(*words, expect=expect).output

    def show(self) -> list[dict[str, Any]]:
        answer: dict[str, Any] = json.loads(self.ctherd("show", "-o", "json"))
        return list(answer["routers"])

    @contextmanager
    def agent(self, *options: str) -> Iterator[Child]:
        with self.command.agent(*options) as child:
            yield child


def nft(netns: str, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["ip", "netns", "exec", netns, "nft", *words], capture_output=True, text=True, check=False
    )


def assigned(netns: str) -> set[int]:
    """The ports in our map, as `nft` lists them."""
    listed = nft(netns, "-j", "list", "map", "inet", "ctherd", "assign")
    if listed.returncode:
        return set()
    (found,) = [each["map"] for each in json.loads(listed.stdout)["nftables"] if "map" in each]
    return {element[0]["concat"][1] for element in found.get("elem", [])}


def canary(netns: Namespace, other: Namespace) -> Callable[[], bool]:
    """Return what tells whether the netns lives: a link of *other* whose peer is in it dies too."""
    link = ["ip", "-n", other.name, "link"]
    made = ["add", "canary", "type", "veth", "peer", "name", "peer", "netns", netns.name]
    subprocess.run([*link, *made], check=True)
    show = [*link, "show", "canary"]
    return lambda: subprocess.run(show, capture_output=True, check=False).returncode == 0


def becomes(state: Callable[[], bool]) -> bool:
    """Wait on a state of another process, bounded."""
    give_up_s = time.monotonic() + _PATIENCE_S
    while not state():
        if time.monotonic() > give_up_s:
            return False
        os.sched_yield()
    return True


FTP = ("ftp", "tcp", 21)
TFTP = ("tftp", "udp", 69)
