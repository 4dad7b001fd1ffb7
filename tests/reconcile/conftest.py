"""A machine for every test of the reconciler."""

from pathlib import Path

import pytest

from tests.reconcile.machine import Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)
