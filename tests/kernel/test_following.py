"""Server and agent as processes of their own, real namespaces, `nft` as the witness."""

import io
import json
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from ctherd.authz.identity.token_file import TOKEN_FILE, Grant, create_token
from ctherd.demo.command_line import CommandLine
from ctherd.demo.story import Story
from ctherd.lab.namespace import Namespace
from ctherd.process import Child
from ctherd.signing.key_file import KEY_FILE, load_ring
from tests.kernel.host import assigned, becomes, nft

pytestmark = pytest.mark.usefixtures("only_agent")

FTP = {"protocol": "tcp", "port": 21, "helper": "ftp"}
TFTP = {"protocol": "udp", "port": 69, "helper": "tftp"}


class Site:
    """A server's machine and an agent's, which happen to be this one."""

    def __init__(self, directory: Path) -> None:
        self.server = CommandLine(Story(io.StringIO()), _made(directory / "server"))
        self.agent = CommandLine(Story(io.StringIO()), _made(directory / "agent"))
        self.server.configure()
        config = self.agent.configure()
        # Without ownership others can change our table, and that is what is to be repaired.
        config.write_text("own_table = false\n" + config.read_text())
        self.state = _made(self.server.server_state)
        self.state.chmod(0o700)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        grant = Grant(user="admin", project="blue", roles=("admin",))
        self.admin, _ = create_token(self.state / TOKEN_FILE, grant)
        token, _ = create_token(self.state / TOKEN_FILE, Grant(host="node"))
        (self.agent.directory / "token").write_text(token)

    @contextmanager
    def serving(self) -> Iterator[Child]:
        with self.server.daemon("server", "--listen", f"127.0.0.1:{self.port}") as child:
            keys = load_ring(self.state / KEY_FILE).key_set.as_plain()
            (self.agent.directory / "pinned.json").write_text(json.dumps(keys))
            yield child

    @contextmanager
    def following(self) -> Iterator[Child]:
        directory = self.agent.directory
        with self.agent.daemon(
            "agent",
            *("--server", self.url, "--host", "node"),
            *("--token-file", str(directory / "token")),
            *("--server-keys", str(directory / "pinned.json")),
        ) as child:
            yield child

    def api(self, method: str, path: str, body: object = None) -> Any:
        headers = {"X-Auth-Token": self.admin}
        answer = httpx.request(
            method, self.url + path, json=body, headers=headers, timeout=30, trust_env=False
        )
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else {}

    def router(self, netns: Namespace) -> str:
        placements = [{"host": "node", "netns": netns.name}]
        body = {"router": {"name": "edge", "placements": placements}}
        return str(self.api("POST", "/v2.0/routers", body)["router"]["id"])

    def add(self, router: str, helper: dict[str, object]) -> dict[str, Any]:
        path = f"/v2.0/routers/{router}/conntrack_helpers?wait=10"
        answer = self.api("POST", path, {"conntrack_helper": helper})
        return dict(answer["conntrack_helper"])

    def host(self) -> dict[str, Any]:
        return dict(self.api("GET", "/v1/hosts/node")["host"])

    def is_watched(self) -> bool:
        hosts = self.api("GET", "/v1/hosts")["hosts"]
        return any(each["watching"] for each in hosts)


def _made(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_what_a_tenant_declares_is_true_when_he_is_told(site: Site, netns: Namespace) -> None:
    """With ?wait the answer comes when the kernel has it, and says so; then it is taken away."""
    with site.serving(), site.following():
        assert becomes(site.is_watched)
        router = site.router(netns)
        helper = site.add(router, FTP)
        assert assigned(netns.name) == {21}
        path = f"/v2.0/routers/{router}/conntrack_helpers/{helper['id']}"
        shown = site.api("GET", f"{path}?fields=status")["conntrack_helper"]
        assert shown["status"] == "active"
        site.api("DELETE", f"{path}?wait=10")
        assert assigned(netns.name) == set()


def test_the_agent_enforces_without_its_server(site: Site, netns: Namespace) -> None:
    """The server is killed: drift is repaired, also by an agent that was killed and came back."""
    with ExitStack() as stack:
        server = stack.enter_context(site.serving())
        with site.following() as agent:
            assert becomes(site.is_watched)
            router = site.router(netns)
            site.add(router, FTP)
            server.kill()
            assert nft(netns.name, "flush", "ruleset").returncode == 0
            assert becomes(lambda: assigned(netns.name) == {21})
            agent.kill()
        assert nft(netns.name, "flush", "ruleset").returncode == 0
        with site.following():
            assert becomes(lambda: assigned(netns.name) == {21})
            added = ["add", "element", "inet", "ctherd", "assign", '{ tcp . 2121 : "ftp-tcp" }']
            assert nft(netns.name, *added).returncode == 0
            assert becomes(lambda: assigned(netns.name) == {21})
            with site.serving():
                site.api(
                    "POST",
                    f"/v2.0/routers/{router}/conntrack_helpers",
                    {"conntrack_helper": TFTP},
                )
                assert becomes(lambda: assigned(netns.name) == {21, 69})


def test_what_was_deleted_meanwhile_goes_when_the_agent_is_back(
    site: Site, netns: Namespace
) -> None:
    """An agent that was away obeys the tombstone, and only then is the place free again."""
    with site.serving():
        with site.following():
            assert becomes(site.is_watched)
            router = site.router(netns)
            site.add(router, FTP)
        site.api("DELETE", f"/v2.0/routers/{router}")
        assert assigned(netns.name) == {21}
        with site.following():
            assert becomes(lambda: assigned(netns.name) == set())
            assert becomes(lambda: site.host()["withdrawing"] == 0)
            assert site.router(netns)


def test_who_edits_the_servers_store_changes_no_kernel(site: Site, netns: Namespace) -> None:
    """A document that was edited on the server's disk is refused, reported, and shown."""
    with site.serving(), site.following():
        assert becomes(site.is_watched)
        router = site.router(netns)
        site.add(router, FTP)
    store = sqlite3.connect(site.state / "store.sqlite")
    changed = store.execute(
        # No digits: the id of the key may have the same ones.
        "UPDATE stored SET value = CAST(replace(CAST(value AS TEXT), 'ftp', 'sip') AS BLOB) "
        "WHERE key LIKE 'doc/%'"
    ).rowcount
    store.commit()
    store.close()
    assert changed == 1
    (site.agent.directory / "state" / "documents.sqlite").unlink()
    with site.serving(), site.following():
        assert becomes(lambda: bool(site.host()["refused"]))
        (refused,) = site.host()["refused"]
        assert refused["router"] == router
        assert "does not fit" in refused["reason"]
        assert assigned(netns.name) == {21}
        kept = site.host()["kept"]
        assert [each["netns"] for each in kept] == [netns.name]


def test_the_log_of_the_agent_names_the_request(site: Site, netns: Namespace) -> None:
    """One id leads from the client's answer to the line about the kernel."""
    with site.serving(), site.following():
        assert becomes(site.is_watched)
        router = site.router(netns)
        headers = {"X-Auth-Token": site.admin}
        answer = httpx.post(
            f"{site.url}/v2.0/routers/{router}/conntrack_helpers?wait=10",
            json={"conntrack_helper": FTP},
            headers=headers,
            trust_env=False,
            timeout=30,
        )
        request = answer.headers["X-Openstack-Request-Id"]
        assert request in site.agent.log.read_text()
