"""Rotation of the signing keys beside a live agent, and what a lost or foreign key means."""

import json

from ctherd.lab.namespace import Namespace
from tests.kernel.host import assigned, becomes
from tests.served.server import FTP, HERE, TFTP, Site, told


def keys(site: Site) -> dict[str, str]:
    rows = json.loads(site.ctherd("key", "list", "-o", "json"))["keys"]
    return {each["key"]: each["state"] for each in rows}


def signing(site: Site) -> str:
    (key,) = (key for key, state in keys(site).items() if state == "signing")
    return key


def change(site: Site, *words: str) -> dict[str, str]:
    site.ctherd("key", *words)
    return keys(site)


def test_keys_rotate_under_a_live_agent(site: Site, netns: Namespace) -> None:
    """Announced, rotated, retired: every document after each step is believed, and nothing is
    taken from the kernel at any of them."""
    with site.up() as up, site.client() as client:
        router = site.router(client, netns.name)
        site.helper(client, router, FTP, wait="10")
        (old,) = keys(site)
        change(site, "announce")
        assert told(client.get("/v1/keys"))["signing"] == old
        after = change(site, "rotate")
        assert after[old] == "trusted"
        assert site.helper(client, router, TFTP, wait="10")["status"] == "active"
        assert told(client.get("/v1/keys"))["signing"] != old
        site.ctherd("key", "retire", old)
        told_keys = told(client.get("/v1/keys"))
        assert list(told_keys["keys"]) == [told_keys["signing"]]
        third = {**FTP, "port": 2121}
        assert site.helper(client, router, third, wait="10")["status"] == "active"
        assert assigned(netns.name) == {21, 69, 2121}
        site.command.end(up)
    assert "not among those trusted" not in site.command.log.read_text()
    with site.up(), site.client() as client:
        assert site.helper(client, router, {**FTP, "port": 2122}, wait="10")["status"] == "active"
        # The chain of the audit that the retired key began is believed, too.
        assert "cannot be believed" not in site.command.log.read_text()
    assert "nothing was edited" in site.ctherd("audit", "verify")


def test_who_knows_an_announced_key_is_shown_at_once(site: Site) -> None:
    """However quiet a host is: by that an operator decides when to rotate, and when to retire."""
    with site.up(), site.client() as client:

        def known() -> int:
            return len(told(client.get(f"/v1/hosts/{HERE}"))["host"]["agent"]["keys"])

        assert becomes(lambda: told(client.get("/v1/hosts"))["hosts"])
        assert becomes(lambda: known() == 1)
        change(site, "announce")
        assert becomes(lambda: known() == 2)


def test_no_host_is_left_behind_unasked(site: Site) -> None:
    """A host that was away for the whole rotation would believe nothing any more."""
    with site.up() as up, site.client() as client:
        assert becomes(lambda: told(client.get("/v1/hosts"))["hosts"])
        assert becomes(lambda: told(client.get(f"/v1/hosts/{HERE}"))["host"]["agent"]["keys"])
        (old,) = keys(site)
        site.command.end(up)
    change(site, "rotate")
    assert f"do not know key {signing(site)}" in site.ctherd("key", "retire", old, expect=1)
    assert keys(site)[old] == "trusted"
    assert change(site, "retire", old, "--anyway")[old] == "retired"


def test_keys_rotate_while_no_server_runs(site: Site, netns: Namespace) -> None:
    """An agent that was away for the whole rotation follows, as its key is still trusted."""
    with site.up() as up, site.client() as client:
        router = site.router(client, netns.name, FTP)
        assert becomes(lambda: assigned(netns.name) == {21})
        (old,) = keys(site)
        site.command.end(up)
    assert change(site, "rotate")[old] == "trusted"
    with site.up(), site.client() as client:
        assert site.helper(client, router, TFTP, wait="10")["status"] == "active"
        assert assigned(netns.name) == {21, 69}


def test_the_signing_key_is_not_retired(site: Site, netns: Namespace) -> None:
    """The error says what to do first, also where documents bear its signature."""
    with site.up(), site.client() as client:
        site.router(client, netns.name, FTP)
        assert becomes(lambda: assigned(netns.name) == {21})
        (only,) = keys(site)
        assert "ctherd key rotate" in site.ctherd("key", "retire", only, expect=1)
        assert "no key" in site.ctherd("key", "retire", "0" * 16, expect=1)


def test_a_store_without_its_keys_is_not_served(site: Site) -> None:
    """A new key would make every document one that no agent believes."""
    with site.up() as up:
        site.command.end(up)
    path = site.command.server_state / "signing-keys.json"
    kept = path.read_bytes()
    path.unlink()
    assert "signing keys are gone" in site.ctherd("server", expect=1)
    assert not path.exists()
    path.write_bytes(kept)
    path.chmod(0o600)
    with site.up():
        pass


def test_an_old_copy_of_the_keys_is_refused(site: Site) -> None:
    """Whoever puts back an old key file is told that it is one."""
    with site.up() as up:
        path = site.command.server_state / "signing-keys.json"
        old = path.read_bytes()
        site.ctherd("key", "rotate")
        site.command.end(up)
    path.write_bytes(old)
    assert "old copy" in site.ctherd("server", "--listen", "127.0.0.1:0", expect=1)
