"""The commands that ask a server: it is found, answers and exit codes are as for a file."""

import json
from typing import Any

import pytest

from ctherd.lab.namespace import Namespace
from ctherd.private_file import create_private
from tests.kernel.host import assigned, becomes
from tests.served.conftest import MakeNetns
from tests.served.server import FTP, HERE, TFTP, Site, told

SIP = {"helper": "sip", "protocol": "udp", "port": 5060, "destinations": ["203.0.113.0/24"]}


def declare(site: Site, routers: dict[str, list[dict[str, Any]]], **more: Any) -> None:
    herd = {
        "version": 1,
        "routers": [
            {"name": f"r-{netns}", "netns": netns, "helpers": helpers, **more}
            for netns, helpers in routers.items()
        ],
    }
    site.command.herd.write_text(json.dumps(herd))


def herd(site: Site, command: str, *words: str, expect: int = 0) -> str:
    options = ["-f", str(site.command.herd), "--server", site.url]
    return site.ctherd(command, *options, *words, expect=expect)


def test_a_herd_file_is_applied_to_a_server(site: Site, netns: Namespace) -> None:
    """Plan says what will change (2), apply does it (0), and a second one changes nothing (0)."""
    declare(site, {netns.name: [FTP, TFTP]})
    with site.up(), site.client() as client:
        said = herd(site, "plan", expect=2)
        assert f"create on {HERE}, netns {netns.name}" in said
        assert "create   tcp/21     ftp" in said
        assert told(client.get("/v2.0/routers"))["routers"] == []
        herd(site, "apply", "--wait", "10")
        assert assigned(netns.name) == {21, 69}
        assert "nothing to change" in herd(site, "plan")
        assert "nothing changed" in herd(site, "apply", "--wait", "10")
        declare(site, {netns.name: [TFTP, SIP]})
        herd(site, "plan", expect=2)
        herd(site, "apply", "--wait", "10")
        assert "nothing to change" in herd(site, "plan")
        assert assigned(netns.name) == {69}
        shown = json.loads(site.ctherd("show", "--server", site.url, "-o", "json"))
        (router,) = shown["routers"]
        assert {each["helper"]: each["status"] for each in router["assignments"]} == {
            "tftp": "active",
            "sip": "active",
        }


def test_what_a_file_does_not_manage_is_left_alone(site: Site, make_netns: MakeNetns) -> None:
    """A router that somebody made over HTTP survives every apply, also one of the same name."""
    mine, alien = make_netns(), make_netns()
    declare(site, {mine.name: [FTP]})
    with site.up(), site.client() as client:
        router = site.router(client, alien.name, TFTP)
        herd(site, "apply")
        declare(site, {})
        herd(site, "apply", "--wait", "10")
        assert assigned(mine.name) == set()
        assert [each["id"] for each in told(client.get("/v2.0/routers"))["routers"]] == [router]
        text = {"version": 1, "routers": [{"name": alien.name, "netns": "x", "helpers": []}]}
        site.command.herd.write_text(json.dumps(text))
        said = herd(site, "apply", expect=1)
        assert router in said
        assert becomes(lambda: assigned(alien.name) == {69})


def test_one_refused_assignment_spares_its_neighbours(site: Site, netns: Namespace) -> None:
    """It is named with the server's words, the others are declared, and the exit code is 1."""
    site.configure('[server.allow]\nhelpers = ["ftp"]\n[server.allow.roles]\nnobody = []\n')
    declare(site, {netns.name: [FTP, TFTP]})
    with site.up():
        said = herd(site, "apply", "--wait", "10", expect=1)
        assert "tftp" in said and "not allowed" in said
        assert assigned(netns.name) == {21}


def test_unusually_much_is_not_removed_without_yes(site: Site, make_netns: MakeNetns) -> None:
    """A file that was cut off does not clean a server."""
    names = [make_netns().name for _ in range(2)]
    declare(site, {name: [FTP] for name in names})
    with site.up():
        herd(site, "apply", "--wait", "10")
        declare(site, {})
        assert "nothing was changed" in herd(site, "apply", expect=1)
        assert [assigned(name) for name in names] == [{21}, {21}]
        herd(site, "apply", "--yes", "--wait", "10")
        assert [assigned(name) for name in names] == [set(), set()]


def test_errors_say_what_to_do(site: Site) -> None:
    """No server, no token, a server that is gone: each with its cure, and exit code 1."""
    assert "ctherd up" in site.ctherd("watch", expect=1)
    assert "does not answer" in site.ctherd("show", "--server", "http://127.0.0.1:9", expect=1)
    with site.up():
        url = site.url.replace("127.0.0.1", "localhost")
        assert "--token-file" in site.ctherd("show", "--server", url, expect=1)
        assert "no router" in site.ctherd("show", "x", "--server", site.url, expect=1)


def test_tokens_are_made_listed_and_revoked(site: Site) -> None:
    """A token works from the moment it is made until the moment it is revoked."""
    with site.up():
        words = ["--user", "mia", "--project", "blue", "--role", "member"]
        token = site.ctherd("token", "create", *words).strip()
        with site.client(token) as client:
            told(client.post("/v2.0/routers", json={"router": {"name": "x"}}), 201)
            listed = json.loads(site.ctherd("token", "list", "-o", "json"))
            assert [each["user"] for each in listed] == [f"agent of {HERE}", "admin", "mia"]
            assert token not in json.dumps(listed)
            site.ctherd("token", "revoke", token)
            assert client.get("/v2.0/routers").status_code == 401
        assert "who is" not in site.ctherd("token", "create", expect=1)


def test_the_audit_is_shown_and_verified(site: Site, netns: Namespace) -> None:
    """Who did what, filtered; whole while the server runs, and found edited when it was."""
    with site.up() as up, site.client() as client:
        router = site.router(client, netns.name, FTP)
        agent = (site.command.server_state / "agent-token").read_text().strip()
        with site.client(agent) as outsider:
            body = {"router": {"name": "x", "project_id": "p"}}
            assert outsider.post("/v2.0/routers", json=body).status_code in (400, 403)
        words = ["--router", router, "-o", "json"]
        entries = json.loads(site.ctherd("audit", *words))
        assert [each["action"] for each in entries] == [
            "create_router_conntrack_helper",
            "create_router",
        ]
        assert {each["who"]["user"] for each in entries} == {"admin"}
        assert "create_router" in site.ctherd("audit", "--limit", "2")
        assert "nothing was edited" in site.ctherd("audit", "verify")
        site.command.end(up)
    assert "nothing was edited" in site.ctherd("audit", "verify")
    edit_audit(site)
    assert "NOT WHOLE" in site.ctherd("audit", "verify", expect=1)


def edit_audit(site: Site) -> None:
    import sqlite3

    with sqlite3.connect(site.command.server_state / "store.sqlite") as db:
        changed = db.execute(
            "UPDATE stored SET value = CAST(replace(CAST(value AS TEXT), '\"admin\"', '\"eve\"') "
            "AS BLOB) WHERE key LIKE 'audit/%' AND CAST(value AS TEXT) LIKE '%create_router%'"
        )
        assert changed.rowcount > 0
    db.close()


def test_what_happens_is_watched_live(site: Site, netns: Namespace) -> None:
    """A declaration and the kernel's answer to it are told as they happen."""
    with site.up(), site.client() as client, site.command.watching("watch") as watching:
        assert site.url in watching.read_line(10)
        router = site.router(client, netns.name)
        said = ""
        while router not in said:
            said = watching.read_line(10)
        site.helper(client, router, FTP)
        seen: list[str] = []
        while not any("active" in line for line in seen):
            seen.append(watching.read_line(10))
        assert any("tcp/21 ftp declared" in line for line in seen)


def test_a_watch_outlives_the_server(site: Site, netns: Namespace) -> None:
    """It says that the server went away, and goes on when it is back."""
    with site.up() as up, site.command.watching("watch") as watching:
        assert site.url in watching.read_line(10)
        site.command.end(up)
        with site.up("--listen", site.url.removeprefix("http://")), site.client() as client:
            assert site.url in watching.read_line(30)
            assert "asking again" in watching.complaints()
            listening = 'ctherd_streams{kind="events"} 1'
            assert becomes(lambda: listening in client.get("/metrics").text)
            router = site.router(client, netns.name)
            said = ""
            while router not in said:
                said = watching.read_line(10)


def test_a_tenant_watches_his_own_routers(site: Site, netns: Namespace) -> None:
    """He is told the router, and not on which host and in which namespace it is."""
    with site.up(), site.client() as client:
        words = ("token", "create", "--user", "eve", "--project", "local", "--role", "reader")
        file = site.command.directory / "eve.token"
        create_private(file, site.ctherd(*words).encode())
        with site.command.watching("watch", "--token-file", str(file)) as watching:
            assert site.url in watching.read_line(10)
            router = site.router(client, netns.name, FTP)
            seen: list[str] = []
            while not any("active" in line for line in seen):
                seen.append(watching.read_line(10))
            assert f"router {router}: helper" in seen[-1]
            # The router has the name of its netns here.
            assert not any(f" {netns.name}:" in line for line in seen)


@pytest.mark.parametrize("words", [("policy", "sample"), ("key", "export")])
def test_what_is_printed_can_be_used(site: Site, words: tuple[str, ...]) -> None:
    """A sample of the policy changes nothing; exported keys are those of the server."""
    with site.up(), site.client() as client:
        said = site.ctherd(*words)
        if words[0] == "key":
            keys = told(client.get("/v1/keys"))
            assert json.loads(said) == {name: keys[name] for name in ("version", "keys", "signing")}
        else:
            assert '#"create_router_conntrack_helper"' in said
