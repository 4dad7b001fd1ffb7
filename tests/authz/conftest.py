"""Policies as a server of ours has them, whatever else the process has imported."""

import pytest
from oslo_policy import _checks


@pytest.fixture(autouse=True)
def without_the_rules_of_neutron(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neutron, once a test has imported it, has kinds of rules of its own in every policy."""
    for kind in ("field", "project_id", "tenant_id"):
        monkeypatch.delitem(_checks.registered_checks, kind, raising=False)
