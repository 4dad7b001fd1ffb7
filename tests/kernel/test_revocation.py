"""Revoking on the real kernel: real FTP through NAT, the conntrack program as the witness."""

import ftplib
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ctherd.demo import services
from ctherd.demo.lab import Lab
from ctherd.lab.namespace import Namespace
from ctherd.lab.topology import Topology
from ctherd.model.catalog import Family
from ctherd.netns.enter import entered
from tests.kernel.host import Host, becomes

FTP: dict[str, Any] = {"helper": "ftp", "protocol": "tcp", "port": 21}
OTHER_FTP: dict[str, Any] = {"helper": "ftp", "protocol": "tcp", "port": 2121}
TFTP: dict[str, Any] = {"helper": "tftp", "protocol": "udp", "port": 69}

ELSEWHERE = "203.0.113.99"

DATAPLANES = ["nftables", "iptables-nft", "iptables-legacy"]
FAMILIES = pytest.mark.parametrize("family", list(Family))


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Client, NAT router, server; FTP on two ports."""
    with (
        Topology.build(tcp_ports=(21, 2121)) as net,
        services.payload() as served,
        services.ftp(net.server, served),
        services.ftp(net.server, served, port=2121),
    ):
        yield Lab(net, served)


@pytest.fixture
def router(lab: Lab, host: Host) -> Iterator[Namespace]:
    """The router, without anything that a test before left there."""
    yield lab.net.router
    declare(host, lab.net.router)
    host.ctherd("apply", "-f", str(host.command.herd))
    lab.net.router.run(["conntrack", "-F"])


def declare(host: Host, netns: Namespace, *helpers: dict[str, Any]) -> None:
    router = {"name": "edge", "netns": netns.name, "helpers": list(helpers)}
    host.command.herd.write_text(json.dumps({"version": 1, "routers": [router]}))


def apply(host: Host, netns: Namespace, *helpers: dict[str, Any]) -> dict[str, Any]:
    """Make this the desired state of *netns*; return what the answer says of it."""
    declare(host, netns, *helpers)
    (router,) = answered(host)
    return router


def answered(host: Host, expect: int = 0) -> list[dict[str, Any]]:
    """Apply the herd file; return what the answer says of its routers."""
    said = host.ctherd("apply", "-f", str(host.command.herd), "-o", "json", expect=expect)
    return list(json.loads(said)["routers"])


def revoked(router: dict[str, Any]) -> dict[str, Any]:
    (settled,) = router["revoked"]
    return dict(settled)


@contextmanager
def control(lab: Lab, family: Family, port: int = 21) -> Iterator[ftplib.FTP]:
    """Hold a logged-in FTP control connection of the client, in this very process."""
    ftp = ftplib.FTP(timeout=2)
    with lab.net.client.opened() as netns_fd, entered(netns_fd):
        ftp.connect(lab.net.server.address(family), port)
    try:
        ftp.login()
        ftp.voidcmd("TYPE I")
        yield ftp
    finally:
        ftp.close()


def passive(ftp: ftplib.FTP, family: Family) -> tuple[str, int]:
    """Let the server wait for a data connection, and the router expect it; return where."""
    if family is Family.IPV4:
        return ftplib.parse227(ftp.sendcmd("PASV"))
    assert ftp.sock is not None
    return ftplib.parse229(ftp.sendcmd("EPSV"), ftp.sock.getpeername())


def connect(lab: Lab, place: tuple[str, int]) -> socket.socket:
    with lab.net.client.opened() as netns_fd, entered(netns_fd):
        return socket.create_connection(place, timeout=1)


def witnessed(router: Namespace, helper: str = "ftp") -> tuple[int, int]:
    """Flows and expectations of *helper*, as the conntrack program lists them."""
    flows, expected = (
        "".join(router.run(["conntrack", "-L", *table, "-f", each]).stdout for each in Family)
        for table in ((), ("expect",))
    )
    pattern = re.compile(rf"helper={helper}\b")
    return len(pattern.findall(flows)), len(pattern.findall(expected))


@FAMILIES
def test_a_withdrawn_helper_is_taken_from_its_flows(
    lab: Lab, host: Host, router: Namespace, family: Family
) -> None:
    """The control connection lives, its expectation is gone, and no new data connection passes."""
    apply(host, router, FTP, OTHER_FTP)
    with control(lab, family) as ftp, control(lab, family, 2121) as other:
        place = passive(ftp, family)
        passive(other, family)
        assert witnessed(router) == (2, 2)
        settled = revoked(apply(host, router, OTHER_FTP))
        assert settled["action"] == "detach"
        assert (settled["flows"], settled["expectations"], settled["left"]) == (1, 1, 0)
        assert witnessed(router) == (1, 1)  # those of the other assignment
        assert ftp.sendcmd("NOOP").startswith("200")
        with pytest.raises(OSError):
            connect(lab, place)
        with pytest.raises(OSError):
            connect(lab, passive(ftp, family))
        connect(lab, passive(other, family)).close()


@FAMILIES
def test_data_connections_live_on_or_are_ended(
    lab: Lab, host: Host, router: Namespace, family: Family
) -> None:
    """On detach an open data connection goes on; on kill its packets are nobody's any more."""
    for on_revoke, survives in (("detach", True), ("kill", False)):
        apply(host, router, FTP | {"on_revoke": on_revoke})
        with control(lab, family) as ftp, connect(lab, passive(ftp, family)) as data:
            settled = revoked(apply(host, router))
            assert settled["action"] == on_revoke
            assert (settled["flows"], settled["data_connections"]) == (1, 1)
            assert settled["ended"] == (0 if survives else 1)
            if survives:
                ftp.sendcmd(f"RETR {lab.served.path.name}")
                assert _received(data) == lab.served.size
            else:
                data.sendall(b"is anybody there?")
                listed = router.run(["conntrack", "-L", "-f", "ipv4"]).stdout
                assert f"dport={data.getpeername()[1]}" not in listed
        router.run(["conntrack", "-F"])


def _received(data: socket.socket) -> int:
    size = 0
    while more := data.recv(65536):
        size += len(more)
    return size


@pytest.mark.parametrize("dataplane", DATAPLANES[1:])
@FAMILIES
def test_it_is_the_same_with_iptables(
    lab: Lab, host: Host, router: Namespace, dataplane: str, family: Family
) -> None:
    """Our own chain is nobody's rival, also where it goes on assigning the helper elsewhere."""
    with configured(host, f'dataplane = "{dataplane}"'):
        server = lab.net.server.address(family)
        apply(host, router, FTP, OTHER_FTP)
        with control(lab, family) as ftp, control(lab, family, 2121):
            passive(ftp, family)
            assert witnessed(router) == (2, 1)
            settled = revoked(apply(host, router, FTP | {"destinations": [ELSEWHERE]}, OTHER_FTP))
            assert (settled["flows"], settled["expectations"], settled["left"]) == (1, 1, 0)
            assert witnessed(router) == (1, 0)
            assert ftp.sendcmd("NOOP").startswith("200")
        with control(lab, family) as ftp:
            assert witnessed(router) == (1, 0)
            kept = FTP | {"destinations": [server], "on_revoke": "kill", "adopt_flows": True}
            told = apply(host, router, kept, OTHER_FTP)["revoked"]
            settled = {each["action"]: each for each in told}
            assert settled.keys() == {"kill", "adopt"}
            narrowed, adopted = settled["kill"], settled["adopt"]
            assert narrowed["flows"] == 0  # as last declared
            assert adopted["left"] == 0
            assert adopted["flows"] >= 1  # what was closed just now is still tracked
            assert ftp.sendcmd("NOOP").startswith("200")
            assert witnessed(router) == (2, 0)
            assert revoked(apply(host, router, OTHER_FTP))["flows"] == 1
            assert witnessed(router) == (1, 0)
        apply(host, router)


@contextmanager
def configured(host: Host, line: str, policy: str = "") -> Iterator[None]:
    """Have one more line at the head of the configuration, and one in its policy."""
    config = host.command.directory / "ctherd.toml"
    before = config.read_text()
    config.write_text(f"{line}\n{before}".replace("kill = []", policy or "kill = []"))
    try:
        yield
    finally:
        config.write_text(before)


CAUSES = {
    "another port": ([OTHER_FTP, TFTP], ""),
    "another helper": ([FTP | {"helper": "sane"}, TFTP], ""),
    "not allowed": ([FTP, TFTP], 'allowed_helpers = ["tftp"]'),
    "kill switch": ([FTP, TFTP], 'kill = ["ftp"]'),
}


@pytest.mark.parametrize("dataplane", DATAPLANES)
@pytest.mark.parametrize("cause", CAUSES)
def test_whatever_takes_it_away(
    lab: Lab, host: Host, router: Namespace, cause: str, dataplane: str
) -> None:
    """Moved, or denied by the policy: live flows lose it, as if it was not declared."""
    helpers, policy = CAUSES[cause]
    chosen = f'dataplane = "{dataplane}"'
    with configured(host, chosen):
        apply(host, router, FTP, TFTP)
    with flows_of_both_families(lab, router), configured(host, chosen, policy):
        declare(host, router, *helpers)
        (told,) = answered(host, expect=1 if policy else 0)
        assert [each["rule"] for each in told["denied"]] == ([policy.split()[0]] if policy else [])
        assert is_taken_from_both(told)


@pytest.mark.parametrize("dataplane", DATAPLANES)
def test_a_router_that_leaves(lab: Lab, host: Host, router: Namespace, dataplane: str) -> None:
    """Its namespace goes on without helpers, for live flows as well."""
    with configured(host, f'dataplane = "{dataplane}"'):
        apply(host, router, FTP)
        with flows_of_both_families(lab, router):
            host.command.herd.write_text('{"version": 1, "routers": []}')
            (told,) = answered(host)
            assert is_taken_from_both(told)


@contextmanager
def flows_of_both_families(lab: Lab, router: Namespace) -> Iterator[None]:
    """Have a flow and an expectation of each, and none in the end; the connections must live."""
    with control(lab, Family.IPV4) as ftp4, control(lab, Family.IPV6) as ftp6:
        passive(ftp4, Family.IPV4)
        passive(ftp6, Family.IPV6)
        assert witnessed(router) == (2, 2)
        yield
        assert witnessed(router) == (0, 0)
        assert ftp4.sendcmd("NOOP").startswith("200")
        assert ftp6.sendcmd("NOOP").startswith("200")


def is_taken_from_both(told: dict[str, Any]) -> bool:
    settled = revoked(told)
    told_of = (settled["flows"], settled["expectations"], settled["left"])
    return (settled["action"], told_of) == ("detach", (2, 2, 0))


@FAMILIES
def test_what_is_left_to_its_flows(lab: Lab, host: Host, router: Namespace, family: Family) -> None:
    """Declared with `leave`, a helper that goes stays with those that have it, and serves them."""
    apply(host, router, FTP | {"on_revoke": "leave"}, TFTP)
    with control(lab, family) as ftp:
        place = passive(ftp, family)
        assert apply(host, router, TFTP)["revoked"] == []
        assert witnessed(router) == (1, 1)
        connect(lab, place).close()
        connect(lab, passive(ftp, family)).close()


def test_only_the_destinations_that_went(lab: Lab, host: Host, router: Namespace) -> None:
    """What IPv4 loses, IPv6 keeps."""
    v4, v6 = f"{lab.net.server.v4}/32", f"{lab.net.server.v6}/128"
    apply(host, router, FTP | {"destinations": [v4, v6]})
    with control(lab, Family.IPV4), control(lab, Family.IPV6):
        assert witnessed(router) == (2, 0)
        assert revoked(apply(host, router, FTP | {"destinations": [v6]}))["flows"] == 1
        listed = router.run(["conntrack", "-L", "-f", "ipv6"]).stdout
        assert len(re.findall("helper=ftp", listed)) == 1
        assert witnessed(router) == (1, 0)


@pytest.mark.parametrize("zone", ["iifname inside ct original zone set 7", "ct zone set 7"])
def test_flows_of_another_zone(lab: Lab, host: Host, router: Namespace, zone: str) -> None:
    """A flow is found in its zone, of one direction or of both, and loses its helper there."""
    hook = "type filter hook prerouting priority raw;"
    router.nft(f"table inet zones {{ chain raw {{ {hook}\n{zone}\n}}\n}}")
    try:
        apply(host, router, FTP)
        with control(lab, Family.IPV6) as ftp:
            listed = router.run(["conntrack", "-L", "-f", "ipv6"]).stdout
            assert re.search("zone(-orig)?=7", listed)
            assert witnessed(router) == (1, 0)
            assert revoked(apply(host, router))["flows"] == 1
            assert witnessed(router) == (0, 0)
            assert ftp.sendcmd("NOOP").startswith("200")
    finally:
        router.run(["nft", "delete", "table", "inet", "zones"])


def test_a_foreign_rule_of_the_same_helper(lab: Lab, host: Host, router: Namespace) -> None:
    """Whose the helper is cannot be told: the flow keeps it, and the rule is named."""
    rule = ["PREROUTING", "-t", "raw", "-p", "tcp", "--dport", "21", "-j", "CT", "--helper", "ftp"]
    apply(host, router, FTP)
    router.run(["iptables-nft", "-I", *rule])
    try:
        with control(lab, Family.IPV4):
            settled = revoked(apply(host, router))
            assert (settled["flows"], settled["left"], settled["done"]) == (0, 1, True)
            assert "ip table raw chain PREROUTING" in settled["why"]
            assert witnessed(router) == (1, 0)
    finally:
        router.run(["iptables-nft", "-D", *rule])


def test_packets_under_way_keep_no_helper(lab: Lab, host: Host, router: Namespace) -> None:
    """While new flows pour in, none is left with the helper when it was said to be taken."""
    apply(host, router, TFTP)
    ended = threading.Event()

    def pour() -> None:
        with lab.net.client.opened() as netns_fd, entered(netns_fd):
            while not ended.is_set():
                one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                one.sendto(b"x", (str(lab.net.server.v4), 69))
                one.close()

    pouring = threading.Thread(target=pour)
    pouring.start()
    try:
        assert becomes(lambda: witnessed(router, "tftp")[0] > 100)
        settled = revoked(apply(host, router))
        assert witnessed(router, "tftp") == (0, 0)
    finally:
        ended.set()
        pouring.join()
    assert settled["flows"] > 100
    assert (settled["left"], settled["done"]) == (0, True)


@pytest.mark.usefixtures("only_agent")
def test_the_agent_revokes(lab: Lab, host: Host, router: Namespace) -> None:
    """When its file changes; and at its start, what was taken from the file while it was away."""
    apply(host, router, FTP, OTHER_FTP)
    with control(lab, Family.IPV4), control(lab, Family.IPV4, 2121):
        with host.agent() as agent:
            assert witnessed(router) == (2, 0)
            declare(host, router, FTP)
            draft = host.command.herd.read_text()
            host.command.herd.write_text(draft)
            assert becomes(lambda: witnessed(router) == (1, 0))
            agent.kill()
        declare(host, router)
        with host.agent():
            assert becomes(lambda: witnessed(router) == (0, 0))
            assert becomes(lambda: "1 flows lost their helper" in host.command.log.read_text())


@pytest.mark.usefixtures("only_agent")
def test_apply_and_show_through_the_agent(lab: Lab, host: Host, router: Namespace) -> None:
    """`apply` waits for what came of the flows, and `show` tells it afterwards."""
    declare(host, router, FTP, TFTP)
    with host.agent(), control(lab, Family.IPV4):
        assert witnessed(router) == (1, 0)
        (shown,) = host.show()
        assert (shown["owed"], shown["revoked"]) == ([], [])
        answer = apply(host, router, TFTP)
        told = [*answer["revoked"], *host.show()[0]["revoked"]]
        assert [each["flows"] for each in told if each["helper"] == "ftp"][:1] == [1]
        assert witnessed(router) == (0, 0)


# -- adopting --------------------------------------------------------------------------------------


@FAMILIES
def test_an_open_connection_is_adopted(
    lab: Lab, host: Host, router: Namespace, family: Family
) -> None:
    """Under SNAT it goes on with the same port, and from then on has the helper."""
    apply(host, router, TFTP)  # conntrack is on
    with control(lab, family) as ftp:
        assert witnessed(router) == (0, 0)
        declare(host, router, TFTP, FTP | {"adopt_flows": True})
        planned = json.loads(
            host.ctherd("plan", "-f", str(host.command.herd), "-o", "json", expect=2)
        )
        assert [each["flows"] for each in planned["routers"][0]["adopts"]] == [1]
        before = _translated(router)
        settled = revoked(apply(host, router, TFTP, FTP | {"adopt_flows": True}))
        assert (settled["action"], settled["flows"], settled["left"]) == ("adopt", 1, 0)
        assert ftp.sendcmd("NOOP").startswith("200")
        assert _translated(router) == before
        with connect(lab, passive(ftp, family)) as data:
            ftp.sendcmd(f"RETR {lab.served.path.name}")
            assert _received(data) == lab.served.size
        assert witnessed(router)[0] == 1


def _translated(router: Namespace) -> list[str]:
    """The ports to which replies of IPv4 FTP connections come."""
    listed = router.run(["conntrack", "-L", "-p", "tcp"]).stdout
    return re.findall(r"dport=21 .*sport=21 dport=(\d+)", listed)


def test_open_connections_are_adopted_by_hand(lab: Lab, host: Host, router: Namespace) -> None:
    """`ctherd adopt` counts first, and acts when told to."""
    apply(host, router, TFTP)
    with control(lab, Family.IPV4) as ftp:
        apply(host, router, TFTP, FTP)
        assert witnessed(router) == (0, 0)
        assert "ftp: 1 open flows" in host.ctherd("adopt", "edge", "tcp/21")
        assert witnessed(router) == (0, 0)
        assert "1 open flows were let go" in host.ctherd("adopt", "edge", "tcp/21", "--yes")
        assert ftp.sendcmd("NOOP").startswith("200")
        assert witnessed(router) == (1, 0)
        host.ctherd("adopt", "edge", "tcp/22", expect=1)
