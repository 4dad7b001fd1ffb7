"""Rules as text: what we write is what iptables prints, and nothing gets in that is not ours."""

import string
from collections import Counter

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ctherd.dataplane.iptables import listing, rule
from ctherd.dataplane.iptables.change import Line, difference, restore_input
from ctherd.dataplane.iptables.listing import Listing
from ctherd.dataplane.iptables.names import is_mark, looks_like_ours, names_of, tag_of
from ctherd.dataplane.iptables.observe import live_in, wanted
from ctherd.dataplane.iptables.rule import Rule
from ctherd.dataplane.iptables.side import Side, jump, read
from ctherd.dataplane.iptables.variant import BASES
from ctherd.errors import LocalProtocolError
from ctherd.model.assignment import ANY, Assignment, AssignmentKey, Destinations, parse_prefix
from ctherd.model.catalog import HELPERS, Family, Protocol
from ctherd.model.observation import Tag
from ctherd.reconcile.tag import drawn_tag
from tests.conftest import Golden
from tests.dataplane.contract import FTP, IRC, MIXED, SIP, TAG, TFTP, V4, V6, make_router, succeed
from tests.dataplane.world_iptables import IptablesWorld
from tests.model.strategies import assignments

NAMES = names_of(TAG)

LIVE = {FTP: ANY, TFTP: MIXED, SIP: (parse_prefix("0.0.0.0/0"), *V6), IRC: ANY}


def saved(family: Family, live: dict[AssignmentKey, Destinations]) -> str:
    """What iptables-save would print of our place."""
    rules = [rule.render(each, NAMES.comment) for each in rule.rules_for(live, family)]
    return "\n".join(
        [
            "*raw",
            *(f":{base} ACCEPT [1:2]" for base in BASES),
            f":{NAMES.chain} - [0:0]",
            *(f"-A {base} {jump(NAMES)}" for base in BASES),
            *(f"-A {NAMES.chain} {each}" for each in rules),
            "COMMIT\n",
        ]
    )


def sides(live: dict[AssignmentKey, Destinations]) -> dict[Family, Side]:
    return {each: read(listing.parse(saved(each, live)), NAMES, each) for each in Family}


# -- goldens ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", Family)
def test_what_is_loaded(golden: Golden, family: Family) -> None:
    """From empty, one change, and removal: the very text that iptables-restore is given."""
    empty = Side(family)
    full = sides(LIVE)[family]
    less = Counter(rule.rules_for({FTP: V4, TFTP: MIXED}, family))
    texts = [
        restore_input(difference(empty, wanted(LIVE, empty), NAMES)),
        restore_input(difference(full, less, NAMES)),
        restore_input(difference(full, Counter(), NAMES)),
    ]
    golden(f"iptables/{family}.rules", "\n".join(texts))


# -- laws ------------------------------------------------------------------------------------------


@given(st.lists(assignments(), max_size=12))
def test_what_is_written_is_understood(declared: list[Assignment]) -> None:
    """Whatever can be declared is told from both families' rules again, with nothing left over."""
    live: dict[AssignmentKey, Destinations] = {}
    for each in declared:
        live[each.key] = each.destinations
    found = sides(live)
    assert live_in(found) == live
    for side in found.values():
        assert list(side.damage(wanted(live, side))) in ([], [f"{side.family}: our chain is empty"])


@given(st.lists(assignments(), max_size=8), st.lists(assignments(), max_size=8))
def test_a_difference_touches_only_what_differs(
    before: list[Assignment], after: list[Assignment]
) -> None:
    """No rule is written that is there already, and none is deleted that stays."""
    had = {each.key: each.destinations for each in before}
    will = {each.key: each.destinations for each in after}
    for family, side in sides(had).items():
        target = wanted(will, side)
        lines = [line.text for line in difference(side, target, NAMES)]
        added = [text for text in lines if text.startswith(f"-A {NAMES.chain}")]
        stays = [rule.render(each, NAMES.comment) for each in side.rules & target]
        assert not [text for text in lines if text.endswith(tuple(stays))]
        assert len(added) == len(set(target) - set(side.rules)), family


def test_tags_name_chains() -> None:
    """Each draw makes a name and a mark of its own, which lead back to the tag."""
    tags = [drawn_tag() for _ in range(100)]
    names = [names_of(tag) for tag in tags]
    assert len({each.chain for each in names}) == len({each.comment for each in names}) == 100
    assert all(len(each.chain) <= 28 and looks_like_ours(each.chain) for each in names)
    assert all(is_mark(each.comment) for each in names)
    assert [tag_of(each) for each in names] == tags
    assert not any(name.chain[-20:] in name.comment.replace("-", "") for name in names)


def test_an_old_tag_names_a_chain_too() -> None:
    """What was recorded before chains were drawn is a UUID alone."""
    names = names_of(Tag("6d9df6a4-6f0c-44b4-9a4b-1b7a7d9f4f60"))
    assert names == ("ctherd-6d9df6a46f0c44b49a4b", "6d9df6a4-6f0c-44b4-9a4b-1b7a7d9f4f60")


# -- nothing gets in -------------------------------------------------------------------------------

nasty = st.text(st.sampled_from("\n\r\0 '\"\\-;#$`" + string.ascii_letters + "é"), max_size=30)
hostile = st.one_of(
    nasty,
    nasty.map(lambda text: f"ftp\n-A INPUT -j ACCEPT\n{text}"),
    nasty.map(lambda text: f"ftp{text}\nCOMMIT\n*filter\n-F\nCOMMIT"),
)


@given(hostile)
def test_a_helper_that_is_none_is_never_written(helper: str) -> None:
    """A name comes from the catalog, or no line is made of it."""
    key = AssignmentKey(Protocol.TCP, 21, helper)
    assume(helper not in {each.name for each in HELPERS})
    with pytest.raises(LocalProtocolError):
        rule.render(Rule(key), NAMES.comment)
    with pytest.raises(LocalProtocolError):
        list(rule.rules_for({key: ANY}, Family.IPV4))


@given(hostile)
def test_other_fields_are_what_they_should_be(text: str) -> None:
    """A protocol, a port or a tag that is none makes no line either."""
    assume(text not in list(Protocol))
    for key in (
        AssignmentKey(text, 21, "ftp"),  # type: ignore[arg-type]
        AssignmentKey(Protocol.TCP, text, "ftp"),  # type: ignore[arg-type]
        AssignmentKey(Protocol.TCP, 70000, "ftp"),
        AssignmentKey(Protocol.TCP, 0, "ftp"),
        AssignmentKey(Protocol.TCP, True, "ftp"),
    ):
        with pytest.raises(LocalProtocolError):
            rule.render(Rule(key), NAMES.comment)
    with pytest.raises(LocalProtocolError):
        names_of(Tag(text))
    with pytest.raises(LocalProtocolError):
        names_of(Tag(f"{TAG}{text}x"))


@given(hostile)
def test_no_line_is_ever_two(text: str) -> None:
    """Even a line that was built wrongly is refused rather than loaded as two."""
    built = f"-D {NAMES.chain} {text}"
    if "\n" in text or "\0" in text:
        with pytest.raises(LocalProtocolError):
            restore_input([Line(built)])
    else:
        assert restore_input([Line(built)]).split("\n") == [
            "*raw", built, "COMMIT", "*raw", "-S", "COMMIT", "",
        ]  # fmt: skip


def test_a_line_in_quotes_is_no_rule() -> None:
    """A comment can hold ends of lines, which iptables-save prints as they are."""
    text = (
        "*raw\n"
        ':PREROUTING ACCEPT [0:0]\n-A PREROUTING -m comment --comment "x\\"y\n'
        f'-A {NAMES.chain} -p tcp -j ACCEPT\n:evil - [0:0]" -j ACCEPT\n'
        "-A PREROUTING -j DROP\nCOMMIT\n"
    )
    found = listing.parse(text)
    assert found.chains == ()
    assert [chain for chain, _ in found.rules] == ["PREROUTING", "PREROUTING"]
    assert listing.target_of(found.rules[0][1]) == "ACCEPT"
    assert listing.comment_of(found.rules[0][1]).startswith('x"y\n')


@pytest.mark.root
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(comment=st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=120))
def test_comments_of_strangers_are_text(raw: IptablesWorld, comment: str) -> None:
    """Whatever somebody writes into a comment in our chain, it goes, and nothing else happens."""
    router = make_router(raw)
    router.converge({FTP: ANY})
    words = ["-m", "comment", "--comment", comment] if comment else []
    raw.stranger(Family.IPV4, "-A", raw.names.chain, *words, "-j", "RETURN")
    assert len(router.look().damage) == 1
    succeed(router.converge({FTP: ANY}))
    assert router.look().damage == ()
    assert raw.save(Family.IPV4, "-t", "raw").count("-A ") == 3
    router.dataplane.release([raw.netns])


@pytest.mark.root
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(declared=st.lists(assignments(), max_size=8, unique_by=lambda each: each.key[:2]))
def test_what_is_written_is_what_iptables_prints(
    raw: IptablesWorld, declared: list[Assignment]
) -> None:
    """Every rule of ours comes back from the real iptables-save word by word."""
    live = {each.key: each.destinations for each in declared}
    router = make_router(raw)
    outcome = router.converge(live)
    for family in Family:
        printed = listing.parse(raw.save(family, "-t", "raw")).rules_of(raw.names.chain)
        expected = [
            rule.render(each, raw.names.comment)
            for each in rule.rules_for(live, family)
            if each.key not in outcome.refused
        ]
        assert sorted(printed) == sorted(expected)
    router.dataplane.release([raw.netns])


@pytest.mark.root
def test_a_listing_is_the_same_as_what_is_saved(raw: IptablesWorld) -> None:
    """What is read back by -S is what iptables-save prints."""
    raw.both("-N", "theirs")
    raw.both("-A", "theirs", "-m", "comment", "--comment", "a \"b\"\n'c'", "-j", "RETURN")
    for family in Family:
        with raw.directory.held(raw.netns) as fd:
            said = raw.programs.restore(fd, family, [])
            assert isinstance(said, Listing)
            assert said == raw.programs.save(fd, family)
            assert said.chains == ("theirs",)
