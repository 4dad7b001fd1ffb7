"""Backup, changes, restore: a new epoch that agents follow, and an old one that they refuse."""

from ctherd.lab.namespace import Namespace
from tests.kernel.host import assigned, becomes
from tests.served.server import FTP, TFTP, Site, told


def test_agents_follow_a_restored_store(site: Site, netns: Namespace) -> None:
    """What was declared after the backup is gone from server and kernel; what comes is believed."""
    saved = site.command.directory / "backup"
    with site.up() as up, site.client() as client:
        router = site.router(client, netns.name)
        site.helper(client, router, FTP, wait="10")
        site.ctherd("backup", str(saved))
        site.helper(client, router, TFTP, wait="10")
        assert assigned(netns.name) == {21, 69}
        assert "another ctherd" in site.ctherd("restore", str(saved), "--yes", expect=1)
        site.command.end(up)
    assert "already" in site.ctherd("restore", str(saved), expect=1)
    # The lost store was of an epoch that the copy does not know of.
    assert "epoch 8" in site.ctherd("restore", str(saved), "--yes", "--past-epoch", "7")
    with site.up(), site.client() as client:
        assert becomes(lambda: assigned(netns.name) == {21})
        assert told(client.get(f"/v2.0/routers/{router}"))["router"]["conntrack_helpers"] == [FTP]
        assert site.helper(client, router, TFTP, wait="10")["status"] == "active"
        assert assigned(netns.name) == {21, 69}
    assert "nothing was edited" in site.ctherd("audit", "verify")


def test_a_store_that_was_put_back_by_hand_is_refused_by_agents(
    site: Site, netns: Namespace
) -> None:
    """Without a new epoch an agent believes nothing that goes back, and keeps what was true."""
    store = site.command.server_state / "store.sqlite"
    with site.up() as up, site.client() as client:
        router = site.router(client, netns.name)
        site.helper(client, router, FTP, wait="10")
        site.command.end(up)
    old = store.read_bytes()
    with site.up() as up, site.client() as client:
        site.helper(client, router, TFTP, wait="10")
        site.command.end(up)
    store.write_bytes(old)
    for side in ("-wal", "-shm"):
        store.with_name(store.name + side).unlink(missing_ok=True)
    with site.up(), site.client() as client:
        other = site.helper(client, router, {**TFTP, "port": 70}, wait="10")
        assert other["status"] == "pending"
        # A host whose agent has just broken off is not waited for; it comes back and says so.
        refused = "is known here, and says something else"
        assert becomes(lambda: refused in site.command.log.read_text())
        assert assigned(netns.name) == {21, 69}


def test_a_backup_needs_its_keys(site: Site) -> None:
    """Restored where its keys are not, it would be believed by nobody: that is an error."""
    saved = site.command.directory / "backup"
    with site.up() as up, site.client() as client:
        site.router(client, "x")
        site.ctherd("backup", str(saved))
        site.command.end(up)
    state = site.command.server_state
    keys = state / "signing-keys.json"
    keys.rename(state / "kept")
    assert "signing keys" in site.ctherd("restore", str(saved), "--yes", expect=1)
