"""What we ship for systemd is accepted by systemd, and names what the catalog needs."""

import os
import subprocess
import sys
from configparser import ConfigParser, SectionProxy
from pathlib import Path

import pytest

from ctherd.main.server_config import ServerOptions
from ctherd.model.catalog import HELPERS

PACKAGING = Path(__file__).parents[2] / "packaging"
UNIT = PACKAGING / "systemd" / "ctherd.service"
SERVER_UNIT = PACKAGING / "systemd" / "ctherd-server.service"
MODULES = PACKAGING / "modules-load.d" / "ctherd.conf"

# systemd's own scale, times ten: 0 is a sealed box, 50 is where it starts to frown.
EXPOSURE_LIMITS = {UNIT.name: 30, SERVER_UNIT.name: 15}

# Not in libc's headers of Debian 12 yet. Source: linux/prctl.h, PR_SET_MDWE.
WITHOUT_WRITABLE_CODE = """
import ctypes, importlib, pkgutil, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(65, 1, 0, 0, 0) != 0:
    sys.exit(77)
import ctherd
for module in pkgutil.walk_packages(ctherd.__path__, "ctherd."):
    # What Neutron loads runs in the L3 agent, not in these units.
    if not module.name.endswith("__main__") and not module.name.startswith("ctherd.neutron"):
        importlib.import_module(module.name)
print("every module")
"""


@pytest.fixture(params=[UNIT, SERVER_UNIT], ids=lambda path: path.name)
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a unit as it would be installed; only the program is one that exists here."""
    shipped: Path = request.param
    copy = tmp_path / shipped.name
    text = shipped.read_text(encoding="utf-8")
    assert text.count("ExecStart=/usr/bin/ctherd ") == 1
    copy.write_text(text.replace("=/usr/bin/ctherd ", "=/bin/true "), encoding="utf-8")
    return copy


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments],
        env={**os.environ, "LC_ALL": "C", "SYSTEMD_COLORS": "0"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_systemd_understands_the_unit(unit: Path) -> None:
    """`systemd-analyze verify` has nothing to say, not even a warning."""
    verdict = analyze("verify", "--man=no", unit)
    # It also complains of other units of the machine that ours is ordered after.
    assert [line for line in verdict.stderr.splitlines() if "ctherd" in line] == []
    assert verdict.returncode == 0, verdict.stderr


def test_the_unit_is_hardened(unit: Path) -> None:
    """systemd rates the exposure of the service as low."""
    limit = EXPOSURE_LIMITS[unit.name]
    verdict = analyze("security", "--offline=true", f"--threshold={limit}", unit)
    assert verdict.returncode == 0, verdict.stdout


def test_the_unit_gives_three_capabilities_and_follows_the_mounts_of_the_host() -> None:
    """The agent has what it needs and no more, and pins no namespace that the host unmounts."""
    service = service_section(UNIT)
    assert set(service["CapabilityBoundingSet"].split()) == {
        "CAP_NET_ADMIN",
        "CAP_SYS_ADMIN",
        "CAP_NET_BROADCAST",
    }
    assert service["MountFlags"] == "slave"


def test_the_server_has_no_capability_and_owns_its_state_alone() -> None:
    """Nothing that the server does needs root; its secrets are its user's."""
    service = service_section(SERVER_UNIT)
    assert service["CapabilityBoundingSet"] == ""
    assert service["DynamicUser"] == "yes"
    assert service["StateDirectoryMode"] == "0700"
    assert Path("/var/lib", service["StateDirectory"]) == ServerOptions().state_dir


def service_section(unit: Path) -> SectionProxy:
    settings = ConfigParser(strict=False, interpolation=None)
    settings.optionxform = str  # type: ignore[assignment,method-assign]
    settings.read(unit)
    return settings["Service"]


def test_ctherd_needs_no_writable_code() -> None:
    """MemoryDenyWriteExecute= breaks nothing: not one module makes code at run time."""
    # keystonemiddleware needs WebOb, which needs cgi.
    warnings = ["-W", "error", "-W", "ignore:'cgi' is deprecated:DeprecationWarning"]
    run = subprocess.run(
        [sys.executable, *warnings, "-c", WITHOUT_WRITABLE_CODE],
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode == 77:
        pytest.skip("this kernel has no PR_SET_MDWE (before 6.3)")
    assert run.stdout == "every module\n", run.stderr


def test_modules_load_names_every_module_that_a_helper_needs() -> None:
    """After a boot with modules-load.d no helper lacks its NAT half."""
    lines = MODULES.read_text(encoding="utf-8").splitlines()
    listed = [line for line in lines if line and not line.startswith("#")]
    needed = {helper.module for helper in HELPERS}
    needed |= {helper.nat_module for helper in HELPERS if helper.nat_module}
    assert set(listed) == needed
    assert len(listed) == len(needed)
