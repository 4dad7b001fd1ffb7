"""A machine with `ctherd up` or `ctherd server`, asked over HTTP as anybody would."""

import io
import re
import socket
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from ctherd.demo.command_line import CommandLine
from ctherd.demo.story import Story
from ctherd.process import Child

FTP = {"helper": "ftp", "protocol": "tcp", "port": 21}
TFTP = {"helper": "tftp", "protocol": "udp", "port": 69}
HERE = socket.gethostname()


class Site:
    """Files and commands of one machine; *url* is known while something serves."""

    def __init__(self, directory: Path) -> None:
        self.command = CommandLine(Story(io.StringIO()), directory)
        self.command.configure()
        self.url = ""

    def configure(self, text: str) -> None:
        """Add *text* to the configuration."""
        path = self.command.directory / "ctherd.toml"
        path.write_text(path.read_text() + text)  # which ends with the section [server]
        tomllib.loads(path.read_text())

    def ctherd(self, *words: str, expect: int = 0) -> str:
        return self.command.run(*words, expect=expect).output

    @contextmanager
    def up(self, *options: str) -> Iterator[Child]:
        """Run `ctherd up` at a port that is free."""
        with self.command.daemon("up", "--listen", "127.0.0.1:0", *options) as child:
            self.url = (self.command.server_state / "url").read_text().strip()
            yield child

    @contextmanager
    def server(self, *options: str) -> Iterator[Child]:
        """Run `ctherd server` at a port that is free, unless *options* say where."""
        where = () if "--listen" in options else ("--listen", "127.0.0.1:0")
        with self.command.daemon("server", *where, *options) as child:
            self.url = re.findall(r"serving at (\S+),", self.command.log.read_text())[-1]
            yield child

    def client(self, token: str | None = None) -> httpx.Client:
        """Return a client that shows *token*, or that of the administrator."""
        if token is None:
            token = (self.command.server_state / "admin-token").read_text().strip()
        return httpx.Client(
            base_url=self.url, headers={"X-Auth-Token": token}, timeout=30, trust_env=False
        )

    def router(
        self, client: httpx.Client, netns: str, *helpers: dict[str, Any], host: str = HERE
    ) -> str:
        """Declare a router on *host*; return its id."""
        placements = [{"host": host, "netns": netns}]
        body = {"router": {"name": netns, "placements": placements}}
        router = str(told(client.post("/v2.0/routers", json=body), 201)["router"]["id"])
        for helper in helpers:
            self.helper(client, router, helper)
        return router

    def helper(
        self, client: httpx.Client, router: str, helper: dict[str, Any], **query: str
    ) -> dict[str, Any]:
        """Declare a helper; return it as the server answers."""
        answer = client.post(
            f"/v2.0/routers/{router}/conntrack_helpers",
            json={"conntrack_helper": helper},
            params=query,
        )
        return dict(told(answer, 201)["conntrack_helper"])


def told(answer: httpx.Response, status: int = 200) -> dict[str, Any]:
    """Return what *answer* says, which has *status*."""
    assert answer.status_code == status, answer.text
    return dict(answer.json()) if answer.content else {}
