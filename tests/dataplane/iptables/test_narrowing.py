"""What narrows helpers, in iptables' own words: each one is printed as it was written."""

from dataclasses import replace

import pytest

from ctherd.dataplane.iptables.names import names_of
from ctherd.dataplane.iptables.narrowing import check, related
from ctherd.errors import ConfigurationError
from ctherd.model.assignment import ANY, AssignmentKey
from ctherd.model.catalog import HELPERS, Family, Protocol
from ctherd.model.safe_scope import AntiSpoofing, SafeScope
from tests.dataplane.contract import FTP, TAG, make_router, whole
from tests.dataplane.world_iptables import IptablesWorld

EVERYTHING = SafeScope(
    related=True,
    lowest_ports={"ftp": 65535, "sip": 1},
    anti_spoofing=AntiSpoofing.LOOSE,
    not_from=("wan0", "qg-*", "br.7", "a@b"),
)


def every_helper() -> dict[AssignmentKey, tuple[()]]:
    """Each helper of the catalog that can be assigned, at a port of its own."""
    keys = [(helper, protocol) for helper in HELPERS for protocol in helper.protocols]
    return {
        AssignmentKey(protocol, 1000 + at, helper.name): ()
        for at, (helper, protocol) in enumerate(keys)
    }


def test_every_helper_and_interface_is_spelled_as_it_is_printed(raw: IptablesWorld) -> None:
    """Quotes, dashes, dots and single ports: what is read back is what was wanted."""
    router = make_router(replace(raw, scope=EVERYTHING))
    desired = every_helper()
    committed = router.converge(desired)
    assert not committed.refused
    assert router.state() == whole(desired)
    router.converge({})
    assert router.state() == whole({})
    assert not raw.exists()


def test_a_scope_that_changes_is_taken_over(raw: IptablesWorld) -> None:
    """Narrower and wide again, assignments stay live all the time; the old shows as damage."""
    router = make_router(replace(raw, scope=EVERYTHING))
    desired = {FTP: ANY}
    router.converge(desired)
    for scope in (SafeScope(related=True), SafeScope(not_from=("x*",)), SafeScope(), EVERYTHING):
        router.dataplane.narrow(scope)  # type: ignore[attr-defined]
        seen = router.look()
        assert dict(seen.live) == desired
        assert seen.damage
        router.converge(desired)
        assert router.state() == whole(desired)


@pytest.mark.parametrize("name", ["wan+", "-x", "!x", 'a"b', "é"])
def test_an_interface_that_iptables_cannot_name_is_refused(name: str) -> None:
    """It would be taken for something else, or for a word of the command."""
    with pytest.raises(ConfigurationError, match="cannot name the interface"):
        check(SafeScope(not_from=(name,)))


def test_a_helper_that_a_family_does_not_know_has_no_rule_there() -> None:
    """The kernel would refuse nothing, and nobody could tell why it stands there."""
    names = names_of(TAG)
    v4, v6 = (related(SafeScope(related=True), names, {"pptp"}, each) for each in Family)
    assert any("GRE" in each.words for each in v4)
    assert not any("pptp" in each.text for each in v6)
    assert v6[-1].text.startswith('-m helper --helper "" ')
    assert all(protocol in "".join(each.text for each in v4) for protocol in Protocol)
