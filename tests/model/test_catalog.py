"""The catalog and its aliases."""

import pytest

from ctherd.errors import InvalidDeclaration
from ctherd.model.catalog import ALIASES, HELPERS, Protocol, by_name, names, resolve


def test_every_name_resolves_on_exactly_the_protocols_of_its_helper() -> None:
    """A kernel name means itself where its helper speaks the protocol, and nothing elsewhere."""
    for helper in HELPERS:
        for protocol in Protocol:
            if protocol in helper.protocols:
                assert resolve(helper.name, protocol) is helper
            else:
                with pytest.raises(InvalidDeclaration, match="does not speak"):
                    resolve(helper.name, protocol)


def test_every_alias_leads_to_a_helper_that_speaks_its_protocol() -> None:
    """No alias is a dead end."""
    for (alias, protocol), target in ALIASES.items():
        assert resolve(alias, protocol) is by_name(target)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    """Nothing from outside becomes a helper's name; case counts, as in the kernel."""
    for name in ("FTP", "ftp ", "", "q.931", 'ftp"; drop'):
        with pytest.raises(InvalidDeclaration, match="known are ftp, tftp"):
            resolve(name, Protocol.TCP)


def test_names_are_unique_and_end_with_the_aliases() -> None:
    """Every name is listed once."""
    listed = list(names())
    assert len(listed) == len(set(listed))
    assert set(listed) == {helper.name for helper in HELPERS} | {alias for alias, _ in ALIASES}
