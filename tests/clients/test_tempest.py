"""Tempest's own tests of conntrack helpers, with a real Keystone in front."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from keystoneauth1 import session as auth_session
from keystoneauth1.identity import v3
from keystoneclient.v3 import client as keystone_client

from ctherd.authz.identity.keystone import KeystoneIdentity, KeystoneOptions
from tests.authz.keystone_server import ADMIN_PASSWORD, Keystone
from tests.clients.live import Live, live
from tests.clients.networks_companion import NetworksCompanion

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

CONFIG = """\
[auth]
use_dynamic_credentials = true
admin_username = admin
admin_password = {password}
admin_project_name = admin
admin_domain_name = Default
[identity]
uri_v3 = {keystone}
auth_version = v3
region = RegionOne
[identity-feature-enabled]
api_v2 = false
[service_available]
neutron = true
nova = false
glance = false
cinder = false
swift = false
[oslo_concurrency]
lock_path = {directory}
"""


@pytest.fixture(scope="module")
def keystone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keystone]:
    directory = tmp_path_factory.mktemp("keystone") / "state"
    directory.mkdir()
    found = Keystone(directory)
    yield found
    found.stop()


def _login(keystone: Keystone) -> dict[str, Any]:
    return {
        "auth_url": keystone.url,
        "username": "admin",
        "password": ADMIN_PASSWORD,
        "project_name": "admin",
    }


@pytest.fixture
def server(keystone: Keystone) -> Iterator[Live]:
    """Return a server that is the network endpoint of the Keystone's region."""
    identity = KeystoneIdentity(KeystoneOptions(_login(keystone)))
    domains: dict[str, Any] = {"user_domain_id": "default", "project_domain_id": "default"}
    admin: Any = keystone_client.Client(
        session=auth_session.Session(v3.Password(**_login(keystone), **domains))
    )
    with live(identity, NetworksCompanion) as found:
        network = admin.services.create("neutron", "network")
        admin.endpoints.create(network, found.url, "public", region="RegionOne")
        yield found
    identity.close()


def test_tempests_own_tests_pass(server: Live, keystone: Keystone, tmp_path: Path) -> None:
    """All three of them, unmodified, with users and projects that Tempest makes in Keystone."""
    config = tmp_path / "tempest.conf"
    config.write_text(
        CONFIG.format(password=ADMIN_PASSWORD, keystone=keystone.url, directory=tmp_path)
    )
    done = subprocess.run(
        [sys.executable, "-m", "testtools.run", "neutron_tempest_plugin.api.test_conntrack_helper"],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "TEMPEST_CONFIG_DIR": str(tmp_path),
            "TEMPEST_CONFIG": "tempest.conf",
        },
        cwd=tmp_path,
        capture_output=True,
        check=False,
        text=True,
        timeout=100,
    )
    said = done.stdout + done.stderr
    assert re.search(r"^Ran 3 tests in ", said, re.MULTILINE), said
    assert re.search(r"^OK$", said, re.MULTILINE), said
    assert done.returncode == 0
    book = server.server.book
    left = [kept.router for project in book.projects() for kept in book.of_project(project)]
    assert not left and list(book.projects()), "routers were made, and all of them deleted"
