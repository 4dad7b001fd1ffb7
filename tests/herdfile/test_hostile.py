"""What nobody means well by: cut off, blown up, random, or aimed at a terminal."""

from typing import Any

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from ctherd.errors import InvalidDeclaration
from ctherd.herdfile import marked_yaml
from ctherd.herdfile.parse import Herd, parse_herd
from tests.herdfile.herd import FULL, HEAD, fault, faults, parse


def test_aliases_cannot_blow_a_small_file_up() -> None:
    """A billion laughs are refused before anybody writes them out."""
    text = "a0: &a0 [" + ", ".join(["x"] * 10) + "]\n"
    for level in range(1, 10):
        text += f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n"
    assert "aliases make more than 1000000 values" in fault(text)


def test_what_comes_from_outside_is_told_in_printable_characters() -> None:
    """No file can send control sequences to the terminal of whoever checks it."""
    hostile = '"\\e[2J"'
    for text in (
        f"version: {hostile}\nrouters: []\n",
        f"version: 1\nrouters: []\n{hostile}: 1\n",
        f"version: 1\nrouters: [{{name: {hostile}, netns: {hostile}, helpers: []}}]\n",
        HEAD + f"    - {{helper: {hostile}, protocol: tcp, port: 1, destinations: [{hostile}]}}\n",
    ):
        assert all(line.isprintable() for line in faults(text))


def test_every_byte_prefix_is_an_error_or_less_of_the_same() -> None:
    """A file that is cut off never declares what the whole does not."""
    whole = {each.router: each for each in parse(FULL)}
    legal = 0
    for length in range(len(FULL)):
        try:
            herd = parse_herd(FULL.encode()[:length], "herd.yaml")
        except InvalidDeclaration:
            continue
        legal += 1
        for each in herd.documents:
            assert each.netns == whole[each.router].netns
            assert each.assignments.items() <= whole[each.router].assignments.items()
    assert legal > 1  # which is why a reload that removes much has to be confirmed


def is_a_herd_or_told(text: str | bytes) -> bool:
    """Whether the parser knows an answer; it fails the test by any other exception."""
    try:
        return isinstance(parse_herd(text, "herd.yaml"), Herd)
    except InvalidDeclaration as error:
        return "herd.yaml:" in str(error)


@given(st.text() | st.binary())
@example("a: &a !!str b\n*a : c")
@example("? &a [*a]\n: *a")
@example("&a a: *a")
@example("- &a\n- *a")
@example("!!set {a, b}")
@example('a: "\\ud800"')
@example("\ud800")
def test_random_text_is_a_herd_or_an_invalid_declaration(text: str | bytes) -> None:
    """Nothing that anybody can write makes the parser fail in another way."""
    assert is_a_herd_or_told(text)


PIECES = (
    "version: 1\n", "routers:", " ", "\n", "- ", "  ", "name: a", "netns: host", "helpers: []",
    "helpers:", "{", "}", "[", "]", ", ", "helper: ftp", "protocol: tcp", "port: 21", "&a ", "*a",
    "? ", ": ", "<<", "!!str ", "!x ", "|\n", "'", '"', "---\n", "...\n", "#", "\t", "~", "021",
)  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_random_yaml_is_a_herd_or_an_invalid_declaration(text: str) -> None:
    """The same for what looks like YAML, for both parsers."""
    assert is_a_herd_or_told(text)
    loader = marked_yaml._Loader
    try:
        marked_yaml._Loader = yaml.SafeLoader  # type: ignore[misc]
        assert is_a_herd_or_told(text)
    finally:
        marked_yaml._Loader = loader  # type: ignore[misc]


def values() -> st.SearchStrategy[Any]:
    scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    known = st.sampled_from(["ftp", "h323", "irc", "tcp", "udp", 21, 70000, "::1", "192.0.2.0/24"])
    keys = st.sampled_from(
        ["version", "routers", "name", "netns", "helpers", "helper", "protocol", "port",
         "destinations", "x"]
    )  # fmt: skip
    return st.recursive(
        scalars | known,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5),
    )


def helpers() -> st.SearchStrategy[Any]:
    names = st.sampled_from(["ftp", "irc", "sip", "h323"])
    fields = {
        "helper": names | values(),
        "protocol": st.sampled_from(["tcp", "udp"]) | values(),
        "port": st.integers(1, 3) | values(),
    }
    return st.lists(
        st.fixed_dictionaries(fields, optional={"destinations": values()}) | values(), max_size=4
    )


@given(
    st.lists(
        st.fixed_dictionaries(
            {"name": st.sampled_from("ab") | values(), "netns": values(), "helpers": helpers()}
        )
        | values(),
        max_size=3,
    ),
    values(),
)
def test_any_value_anywhere_is_a_herd_or_an_invalid_declaration(routers: Any, extra: Any) -> None:
    """Whatever stands where a herd file has its fields, the answer names it."""
    text = yaml.safe_dump({"version": 1, "routers": routers}, allow_unicode=True)
    assert is_a_herd_or_told(text)
    assert is_a_herd_or_told(yaml.safe_dump(extra))
