"""What narrows helpers: which values make sense, and who vouches for whom."""

import pytest

from ctherd.errors import ConfigurationError
from ctherd.model.catalog import HELPERS, by_name
from ctherd.model.safe_scope import WIDE, AntiSpoofing, SafeScope, letting_in


@pytest.mark.parametrize("name", ["", "*", "a*b", "*a", "a b", "a/b", "sixteen-bytes-xx", "é" * 8])
def test_an_interface_that_cannot_be(name: str) -> None:
    """It is refused, instead of excluding nothing, or everything."""
    with pytest.raises(ConfigurationError):
        SafeScope(not_from=(name,))


@pytest.mark.parametrize("name", ["eth0", "qg-*", "fifteen-bytes-x", "fourteen-byte*"])
def test_an_interface_that_can_be(name: str) -> None:
    """Whole names, and beginnings."""
    assert SafeScope(not_from=(name,)).narrows_assignment


def test_a_lowest_port_of_an_unknown_helper() -> None:
    """A typing error must not silently narrow nothing."""
    with pytest.raises(ConfigurationError, match="no conntrack helper 'spi'"):
        SafeScope(lowest_ports={"spi": 1024})


def test_what_narrows_assignment() -> None:
    """Dropping what was let in is no reason to look at every new connection."""
    assert not WIDE.narrows_assignment
    assert not SafeScope(related=True).narrows_assignment
    assert SafeScope(anti_spoofing=AntiSpoofing.LOOSE).narrows_assignment


def test_lowest_ports() -> None:
    """As configured, else as the catalog has it."""
    scope = SafeScope(lowest_ports={"sip": 10000})
    assert [scope.lowest_port(each) for each in ("sip", "ftp", "netbios-ns")] == [10000, 1024, 137]


def test_who_vouches_for_whom() -> None:
    """A helper lets in what it expects, and what those expect to whom it hands on."""
    assert letting_in([]) == {}
    assert letting_in(["ftp"]) == {"ftp": "ftp"}
    assert letting_in(["RAS"]) == {"H.245": "RAS", "Q.931": "RAS", "RAS": "RAS"}
    assert letting_in(["RAS", "Q.931"])["Q.931"] == "Q.931"
    assert all(each.name in letting_in([each.name]) for each in HELPERS)
    assert by_name("Q.931").hands_on == ("H.245",)
