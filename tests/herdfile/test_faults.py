"""How every fault in a herd file is told: where it is, what it is, and what would be right."""

import pytest

from ctherd.herdfile.parse import MAX_BYTES
from tests.herdfile.herd import HEAD, fault, faults


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
