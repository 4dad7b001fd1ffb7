"""Files for a server, which say where their routers live."""

import pytest

from ctherd.errors import InvalidDeclaration
from ctherd.herdfile.parse import parse_herd


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

    def test_a_server_hands_on_what_shall_become_of_flows(self) -> None:
        """A file for a server says it as one for this machine does."""
        helper = "{helper: ftp, protocol: tcp, port: 21, on_revoke: kill, adopt_flows: true}"
        text = self.TEXT.replace("helpers: []", f"helpers: [{helper}]", 1)
        (assignment,) = parse_herd(text, "h", of_hosts=True).documents[0].assignments.values()
        assert (assignment.on_revoke, assignment.adopt_flows) == ("kill", True)
