"""The extension works with the oldest Neutron that it may be installed beside, too."""

import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2]
PYTHON = HOUSE / ".venv" / "oldest-neutron" / "bin" / "python"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_contracts_of_the_extension_hold_with_the_oldest_neutron_too() -> None:
    if not PYTHON.exists():
        pytest.skip("make oldest-neutron was not run")
    assert _neutron_of(PYTHON) == f"{_floor()}.0.0" != version("neutron")
    tested = subprocess.run(
        # What is packaged is the same with every Neutron, and needs all extras to be looked at.
        [PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not root and not slow",
         "tests/neutron", "--ignore=tests/neutron/test_packaging.py"],
        cwd=HOUSE, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert tested.returncode == 0, tested.stdout[-5000:]


def _floor() -> str:
    """Return the oldest Neutron that the extra admits."""
    project = tomllib.loads((HOUSE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (requirement,) = project["optional-dependencies"]["neutron"]
    return str(requirement.removeprefix("neutron>="))


def _neutron_of(python: Path) -> str:
    asked = [str(python), "-c", "import importlib.metadata as m; print(m.version('neutron'))"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
