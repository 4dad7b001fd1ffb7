"""Herd files: what they mean, and how every fault in them is told."""

import time
import tracemalloc
from ipaddress import ip_network
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from ctherd.errors import InvalidDeclaration
from ctherd.herdfile import marked_yaml
from ctherd.herdfile.parse import MAX_BYTES, Herd, parse_herd
from ctherd.model.document import Document

HEAD = "version: 1\nrouters:\n  - name: edge\n    netns: qrouter-1\n    helpers:\n"

FULL = """\
version: 1
routers:
  - name: edge                 # unique
    netns: qrouter-1
    helpers:
      - {helper: ftp, protocol: tcp, port: 21}
      - {helper: h323, protocol: tcp, port: 1720}
      - {helper: sip, protocol: udp, port: 5060, destinations: [203.0.113.0/24, "2001:db8::/64"]}
  - {name: core, netns: host, helpers: []}
"""


@pytest.fixture(params=["CSafeLoader", "SafeLoader"])
def _either_parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marked_yaml, "_Loader", getattr(yaml, request.param))


def parse(text: str | bytes) -> tuple[Document, ...]:
    return parse_herd(text, "herd.yaml").documents


def faults(text: str | bytes) -> list[str]:
    """Return the lines of the error that *text* makes."""
    with pytest.raises(InvalidDeclaration) as caught:
        parse_herd(text, "herd.yaml")
    return str(caught.value).splitlines()


def fault(text: str | bytes) -> str:
    """Return the only fault of *text*."""
    (line,) = faults(text)
    return line


@pytest.mark.usefixtures("_either_parser")
class TestMeaning:
    def test_a_file_becomes_one_document_per_router_in_its_order(self) -> None:
        """Everything that is written is in the documents, and nothing else."""
        edge, core = parse(FULL)
        assert (edge.router, edge.netns, core.router, core.netns) == (
            "edge",
            "qrouter-1",
            "core",
            "host",
        )
        assert list(edge.assignments) == ["tcp/21/ftp", "tcp/1720/h323", "udp/5060/sip"]
        assert [str(key) for key in edge.desired] == [
            "tcp/21 ftp",
            "tcp/1720 Q.931",
            "udp/5060 sip",
        ]
        assert list(edge.desired.values()) == [
            (),
            (),
            (ip_network("203.0.113.0/24"), ip_network("2001:db8::/64")),
        ]
        assert core.assignments == {}

    def test_an_explicitly_empty_file_is_legal(self) -> None:
        """No router shall have any helper: said aloud, it is a desire like any other."""
        assert parse("version: 1\nrouters: []\n") == ()

    def test_bytes_and_a_byte_order_mark_are_read(self) -> None:
        """What editors on other systems write is the same file."""
        assert parse(b"\xef\xbb\xbf" + FULL.replace("\n", "\r\n").encode()) == parse(FULL)

    def test_an_alias_shares_a_list_of_helpers(self) -> None:
        """Two routers with one list have equal assignments each."""
        first, second = parse(
            "version: 1\nrouters:\n"
            "- {name: a, netns: a, helpers: &usual [{helper: ftp, protocol: tcp, port: 21}]}\n"
            "- {name: b, netns: b, helpers: *usual}\n"
        )
        assert first.assignments == second.assignments
        assert len(first.assignments) == 1

    def test_quoted_text_is_text_and_core_tags_say_what_is_said_without(self) -> None:
        """`"21"` would be a text; `!!int 21` is a number; `"no"` is a name."""
        (made,) = parse(
            'version: !!int 1\nrouters: !!seq\n- !!map {name: !!str 12, netns: "no", helpers: []}\n'
        )
        assert (made.router, made.netns) == ("12", "no")

    def test_different_helpers_may_share_a_port_for_different_destinations(self) -> None:
        """Only where their destinations overlap would one of them never work."""
        (made,) = parse(
            HEAD + "    - {helper: ftp, protocol: tcp, port: 21, destinations: [192.0.2.0/25]}\n"
            "    - {helper: irc, protocol: tcp, port: 21, destinations: [192.0.2.128/25]}\n"
        )
        assert len(made.assignments) == 2


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("", "1:1", "the file is empty"),
        ("# nothing\n", "1:1", "the file is empty"),
        ("---\n...\n", "1:1", "the file is empty"),
        ("just words", "1:1", "'just words' is not a mapping"),
        ("[]", "1:1", "a list is not a mapping"),
        ("version: 1\n", "1:1", "routers: it is missing"),
        ("routers: []\n", "1:1", "version: it is missing"),
        ("version: 1\nrouters:\n", "2:9", "routers: null is not a list"),
        ("version: 1\nrouters: {}\n", "2:10", "routers: a mapping is not a list"),
        ("version: 2\nrouters: []\n", "1:10", "version: 2 is not a version"),
        ("version: true\nrouters: []\n", "1:10", "version: true is not a version"),
        ("version: 1.0\nrouters: []\n", "1:10", "version: 1.0 is neither a plain decimal"),
        ("version: 1\nrouter: []\nrouters: []\n", "2:1", "did you mean routers?"),
        ("version: 1\nrouters: [5]\n", "2:11", "routers[0]: 5 is not a mapping"),
        ("version: 1\nversion: 1\nrouters: []\n", "2:1", "first on line 1, column 1"),
        ("version: 1\nrouters: []\n---\na: 1\n", "3:1", "a second document starts here"),
        ("version: 1\nrouters: &a [*a]\n", "2:14", "stands inside of what it stands for"),
        ("version: 1\nrouters: *a\n", "2:10", "there is no anchor 'a' above"),
        ("version: 1\nrouters: !!python/name:os.system []\n", "2:10", "has no meaning here"),
        ("version: 1\n\trouters: []\n", "2:", "indent with spaces"),
        ("version: 1\n1: 2\nrouters: []\n", "2:1", "1 is no key"),
        ("version: 1\n? [1]\n: 2\nrouters: []\n", "2:3", "a list is no key"),
        ("version: 1\nrouters: [\n", "3:1", "this is not YAML"),
        ("version: 1\nrouters: " + "[" * 40 + "]" * 40, "2:41", "nested more than 32 deep"),
        (b"version: 1\nrouters: \xff\n", "2:10", "the byte 0xFF is not UTF-8"),
        ("version: 1\nrouters: \0\n", "2:10", "the character U+0000 is not allowed"),
        ("version: 1\nrouters: [\ufeff]\n", "2:11", "the character U+FEFF is not allowed"),
        ("x" * (MAX_BYTES + 1), "1:1", "larger than 16 MiB"),
    ],
    ids=lambda value: value[:24] if isinstance(value, (str, bytes)) else None,
)
def test_a_file_that_cannot_be_meant_is_refused(text: str | bytes, place: str, words: str) -> None:
    """Empty, cut off, or not a herd file: an error with a place, never an empty herd."""
    line = fault(text)
    assert line.startswith(f"herd.yaml:{place}")
    assert words in line


@pytest.mark.parametrize(
    ("router", "where", "words"),
    [
        ("{name: -a, netns: q, helpers: []}", "name", "'-a' is not allowed"),
        ("{name: '', netns: q, helpers: []}", "name", "'' is not allowed"),
        (f"{{name: {'a' * 65}, netns: q, helpers: []}}", "name", "longer than 64 characters"),
        ("{name: 12, netns: q, helpers: []}", "name", "put it in quotes"),
        ("{name: no, netns: q, helpers: []}", "name", "no is neither"),
        ("{name: a, netns: a/b, helpers: []}", "netns", "'a/b' is not allowed"),
        ("{name: a, netns: ., helpers: []}", "netns", "'.' is not allowed"),
        ("{name: a, netns: .., helpers: []}", "netns", "'..' is not allowed"),
        ("{name: a, netns: -x, helpers: []}", "netns", "'-x' is not allowed"),
        ('{name: a, netns: "a\\0", helpers: []}', "netns", r"'a\x00' is not allowed"),
        ('{name: a, netns: "a\\n", helpers: []}', "netns", r"'a\n' is not allowed"),
        (f"{{name: a, netns: {'ä' * 128}, helpers: []}}", "netns", "longer than 255 bytes"),
        ("{name: a, netns: q, helpers: }", "helpers", "null is not a list"),
        ("{name: a, netns: q}", "helpers", "it is missing (write a list of helpers; helpers: []"),
        ("{name: a, netns: q, helper: [], helpers: []}", "helper", "there is no such key"),
    ],
)
def test_a_router_that_cannot_be_is_refused(router: str, where: str, words: str) -> None:
    """Each field says what it may be."""
    line = fault(f"version: 1\nrouters:\n  - {router}\n")
    assert f" routers[0].{where}: " in line
    assert words in line


@pytest.mark.parametrize(
    ("helper", "where", "words"),
    [
        ("{helper: ftpp, protocol: tcp, port: 21}", ".helper", "did you mean ftp?"),
        ("{helper: FTP1234, protocol: tcp, port: 21}", ".helper", "`ctherd helpers` lists"),
        ("{helper: ftp, protocol: udp, port: 21}", ".helper", "it speaks tcp"),
        ("{helper: ftp, protocol: icmp, port: 21}", ".protocol", "write tcp or udp"),
        ("{helper: ftp, protocol: tcp, port: 0}", ".port", "less than the minimum of 1"),
        ("{helper: ftp, protocol: tcp, port: -1}", ".port", "-1 is less than"),
        ("{helper: ftp, protocol: tcp, port: 70000}", ".port", "greater than the maximum of 65535"),
        ("{helper: ftp, protocol: tcp, port: '21'}", ".port", "without quotes"),
        ("{helper: ftp, protocol: tcp, port: 021}", ".port", "021 is neither"),
        ("{helper: ftp, protocol: tcp, port: 0o21}", ".port", "0o21 is neither"),
        ("{helper: ftp, protocol: tcp, port: 0x15}", ".port", "0x15 is neither"),
        ("{helper: ftp, protocol: tcp, port: 21:00}", ".port", "21:00 is neither"),
        ("{helper: ftp, protocol: tcp, port: 2_1}", ".port", "2_1 is neither"),
        ("{helper: ftp, protocol: tcp, port: +21}", ".port", "+21 is neither"),
        ("{helper: ftp, protocol: tcp, port: 21.0}", ".port", "21.0 is neither"),
        ("{helper: ftp, protocol: tcp, port: 2.1e1}", ".port", "2.1e1 is neither"),
        ("{helper: ftp, protocol: tcp, port: 1" + "0" * 5000 + "}", ".port", "000'… is neither"),
        ("{helper: ftp, protocol: tcp, port: 21, port: 22}", ".port", "first on line 6, column 36"),
        ("{<<: 1, helper: ftp, protocol: tcp, port: 21}", "", "merge keys (<<) are not supported"),
        ("{helper: ftp, protocol: tcp}", ".port", "it is missing"),
        ("ftp", "", "'ftp' is not a mapping"),
        ("{helper: ftp, protocol: tcp, port: 21, destinations: []}", ".destinations", "is empty"),
        ("{helper: ftp, protocol: tcp, port: 21, destinations: }", ".destinations", "null is not"),
        (
            "{helper: ftp, protocol: tcp, port: 21, destinations: [192.0.2.1/24]}",
            ".destinations[0]",
            "has host bits set",
        ),
        (
            "{helper: irc, protocol: tcp, port: 21, destinations: [192.0.2.1, '2001:db8::1']}",
            ".destinations[1]",
            "exists for IPv4 only",
        ),
    ],
)
def test_an_assignment_that_cannot_be_is_refused(helper: str, where: str, words: str) -> None:
    """The faulty field is named, with what it may be."""
    line = fault(f"{HEAD}    - {helper}\n")
    assert line.startswith("herd.yaml:6:")
    assert f" routers[0].helpers[0]{where}: " in line
    assert words in line


def test_a_fault_is_told_with_its_line_column_path_and_cure() -> None:
    """The format that editors and people know how to follow."""
    assert fault(HEAD + "    - {helper: ftp, protocol: tcp, port: 70000}\n") == (
        "herd.yaml:6:42: routers[0].helpers[0].port: 70000 is greater than the maximum of 65535 "
        "(write a number from 1 to 65535 in decimal digits, without quotes)"
    )


def test_two_helpers_on_one_port_name_both_places() -> None:
    """Whoever has to choose sees what there is to choose from."""
    line = fault(
        HEAD + "    - {helper: ftp, protocol: tcp, port: 21}\n"
        "    - {helper: irc, protocol: tcp, port: 21}\n"
    )
    assert line.startswith("herd.yaml:7:7: routers[0].helpers[1]: ")
    assert "helper irc, but ftp has it" in line
    assert "first on line 6, column 7" in line


@pytest.mark.parametrize("other", ["ftp", "Q.931"])
def test_one_helper_twice_on_one_port_names_both_places(other: str) -> None:
    """Also when one of them hides behind its alias."""
    first = {"ftp": "ftp", "Q.931": "h323"}[other]
    line = fault(
        HEAD + f"    - {{helper: {first}, protocol: tcp, port: 21}}\n"
        f"    - {{helper: {other}, protocol: tcp, port: 21}}\n"
    )
    assert "twice; first on line 6, column 7" in line


def test_two_routers_of_one_name_or_one_netns_name_both_places() -> None:
    """One network namespace is one router, with one name."""
    lines = faults(
        "version: 1\nrouters:\n"
        "- {name: a, netns: x, helpers: []}\n"
        "- {name: a, netns: y, helpers: []}\n"
        "- {name: b, netns: x, helpers: []}\n"
    )
    assert [line.split(" (")[0] for line in lines] == [
        "herd.yaml:4:10: routers[1].name: 'a' is declared twice, first on line 3, column 10",
        "herd.yaml:5:20: routers[2].netns: 'x' is declared twice, first on line 3, column 20",
    ]


def test_all_faults_are_told_at_once_in_order_whoever_found_them() -> None:
    """Syntax of scalars, schema and meaning: one run tells everything."""
    lines = faults(
        "version: 3\nrouters:\n"
        "- {name: a, netns: x, helpers: [{helper: ftp, protocol: udp, port: 21}]}\n"
        "- {name: a, netns: x, helpers: [{helper: ftp, protocol: tcp, port: 021},\n"
        "    {helper: irc, protocol: tcp, port: 1, destinations: ['::1', x]}], extra: 1}\n"
        "- {name: c, netns: z, helpers: [{helper: ftp, protocol: tcp, port: 0},\n"
        "    {helper: tftp, protocol: tcp, port: 69}]}\n"
    )
    assert [line.split(": ")[1] for line in lines] == [
        "version",
        "routers[0].helpers[0].helper",
        "routers[1].helpers[0].port",
        "routers[1].extra",
        "routers[2].helpers[0].port",
        "routers[2].helpers[1].helper",
    ]


def test_of_many_faults_the_first_twenty_are_told_and_the_others_counted() -> None:
    """Nobody reads a thousand lines; everybody wants to know that there are more."""
    wrong = "    - {helper: ftp, protocol: tcp, port: 0}\n"
    lines = faults(HEAD + wrong * 50)
    assert len(lines) == 21
    assert lines[0].startswith("herd.yaml:6:")
    assert lines[19].startswith("herd.yaml:25:")
    assert lines[20] == "herd.yaml: … and 30 more"
    assert len(faults(HEAD + wrong * 5_000)) == 21


def test_a_fault_in_a_shared_list_is_told_once() -> None:
    """It is one place in the file, however many routers use it."""
    text = HEAD.replace("helpers:", "helpers: &x") + "    - {helper: irc, protocol: udp, port: 1}\n"
    for name in "bcd":
        text += f"  - {{name: {name}, netns: {name}, helpers: *x}}\n"
    assert " routers[0].helpers[0].helper: " in fault(text)


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


def never_crashes(text: str | bytes) -> None:
    try:
        herd = parse_herd(text, "herd.yaml")
    except InvalidDeclaration as error:
        assert "herd.yaml:" in str(error)
    else:
        assert isinstance(herd, Herd)


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
    never_crashes(text)


PIECES = (
    "version: 1\n", "routers:", " ", "\n", "- ", "  ", "name: a", "netns: host", "helpers: []",
    "helpers:", "{", "}", "[", "]", ", ", "helper: ftp", "protocol: tcp", "port: 21", "&a ", "*a",
    "? ", ": ", "<<", "!!str ", "!x ", "|\n", "'", '"', "---\n", "...\n", "#", "\t", "~", "021",
)  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_random_yaml_is_a_herd_or_an_invalid_declaration(text: str) -> None:
    """The same for what looks like YAML, for both parsers."""
    never_crashes(text)
    loader = marked_yaml._Loader
    try:
        marked_yaml._Loader = yaml.SafeLoader  # type: ignore[misc]
        never_crashes(text)
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
    never_crashes(text)
    never_crashes(yaml.safe_dump(extra))


def test_a_thousand_routers_with_ten_helpers_take_about_a_second_at_most() -> None:
    """Reading grows with the file and not faster: twice the file, not four times the time."""

    def seconds(routers: int) -> float:
        text = "version: 1\nrouters:\n" + "".join(
            f"- name: r{router}\n  netns: q{router}\n  helpers:\n"
            + "".join(f"  - {{helper: ftp, protocol: tcp, port: {1 + n}}}\n" for n in range(10))
            for router in range(routers)
        )
        began = time.perf_counter()
        assert len(parse(text)) == routers
        return time.perf_counter() - began

    seconds(10)
    whole = min(seconds(1000) for _ in range(3))
    assert whole < 2.0
    assert whole < 10 * min(seconds(250) for _ in range(3))


def test_reading_needs_little_memory() -> None:
    """What is needed for a moment, the process keeps: 1.5 KB for an assignment, all in all."""
    helpers = "".join(
        f'    - {{"helper":"ftp","protocol":"tcp","port":{n}}}\n' for n in range(1, 1001)
    )
    tracemalloc.start()
    try:
        parse(HEAD + helpers)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1_500 * 1000


def test_many_clashes_on_one_port_are_found_in_steps() -> None:
    """Ten thousand equal assignments are compared with one, not with each other."""
    one = "    - {helper: ftp, protocol: tcp, port: 21}\n"
    lines = faults(HEAD + one * 10_000)
    assert lines[-1] == "herd.yaml: … and 9979 more"


class TestHosts:
    """A file for a server says where its routers live; one for this machine must not."""

    TEXT = (
        "version: 1\nrouters:\n"
        "  - {name: a, netns: q, host: node-1, helpers: []}\n"
        "  - {name: b, netns: q, host: node-2, helpers: []}\n"
        "  - {name: c, netns: q, helpers: []}\n"
    )

    def test_hosts_are_told_beside_the_documents(self) -> None:
        """Two hosts may have a netns of one name each; a router that names none has none."""
        herd = parse_herd(self.TEXT, "h", of_hosts=True)
        assert herd.hosts == {"a": "node-1", "b": "node-2"}
        assert [each.netns for each in herd.documents] == ["q", "q", "q"]

    def test_one_netns_of_one_host_is_one_router(self) -> None:
        """The host makes the difference, and nothing else does."""
        with pytest.raises(InvalidDeclaration, match="declared twice"):
            parse_herd(self.TEXT.replace("node-2", "node-1"), "h", of_hosts=True)

    def test_without_a_server_a_host_is_an_error(self) -> None:
        """Or a fleet's file would make one machine every router's host."""
        with pytest.raises(InvalidDeclaration, match=r"line 3.*host|host.*line 3|:3:") as caught:
            parse_herd(self.TEXT, "h")
        assert "--server" in str(caught.value)
