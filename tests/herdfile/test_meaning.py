"""What herd files mean, for both parsers of YAML."""

from ipaddress import ip_network

import pytest
import yaml

from ctherd.herdfile import marked_yaml
from tests.herdfile.herd import FULL, HEAD, parse


@pytest.fixture(params=["CSafeLoader", "SafeLoader"])
def _either_parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marked_yaml, "_Loader", getattr(yaml, request.param))


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

    def test_what_shall_happen_to_flows(self) -> None:
        """Detached and not adopted, unless it is said otherwise."""
        (edge,) = parse(
            f"{HEAD}"
            "    - {helper: ftp, protocol: tcp, port: 21}\n"
            "    - {helper: sip, protocol: udp, port: 5060, on_revoke: kill}\n"
            "    - {helper: irc, protocol: tcp, port: 6667, on_revoke: detach, adopt_flows: true}\n"
            "    - {helper: tftp, protocol: udp, port: 69, on_revoke: leave, adopt_flows: false}\n"
        )
        assert {str(key): how.value for key, how in edge.on_revoke.items()} == {
            "udp/5060 sip": "kill",
            "udp/69 tftp": "leave",
        }
        assert [str(key) for key in edge.adopting] == ["tcp/6667 irc"]

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
