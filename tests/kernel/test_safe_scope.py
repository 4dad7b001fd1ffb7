"""What narrows helpers, with real FTP through a real router, and nft's own listing as witness."""

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ctherd.demo import services
from ctherd.demo.lab import Lab
from ctherd.lab.namespace import Namespace
from ctherd.lab.topology import Topology
from ctherd.model.catalog import Family
from tests.kernel.host import Host, becomes
from tests.kernel.test_revocation import FTP, TFTP, apply, connect, control, passive, witnessed

FAMILIES = pytest.mark.parametrize("family", list(Family))
DATAPLANES = pytest.mark.usefixtures("dataplane")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Client, NAT router, server; FTP."""
    with (
        Topology.build(tcp_ports=(21,)) as net,
        services.payload() as served,
        services.ftp(net.server, served),
    ):
        yield Lab(net, served)


@pytest.fixture(params=["nftables", "iptables-nft", "iptables-legacy"])
def dataplane(request: pytest.FixtureRequest, host: Host) -> str:
    """What makes assignments true, and narrows them."""
    config = host.command.directory / "ctherd.toml"
    config.write_text(f'dataplane = "{request.param}"\n{config.read_text()}')
    return str(request.param)


@pytest.fixture
def router(lab: Lab, host: Host) -> Iterator[Namespace]:
    """The router, without anything that a test before left there."""
    yield lab.net.router
    apply(host, lab.net.router)
    lab.net.router.run(["conntrack", "-F"])


def narrow(host: Host, *lines: str) -> None:
    """Let the policy narrow helpers like this."""
    config = host.command.directory / "ctherd.toml"
    plain = config.read_text().partition("[policy.scope]")[0]
    config.write_text("\n".join([plain, "[policy.scope]", *lines, ""]))


def counted(host: Host) -> dict[str, int]:
    """What the rules that narrow have counted, over both chains."""
    found: dict[str, int] = {}
    for each in host.show()[0]["narrowed"]:
        found[each["words"]] = found.get(each["words"], 0) + each["packets"]
    return found


@contextmanager
def foreign_helper(router: Namespace) -> Iterator[None]:
    """Let somebody else assign ftp."""
    rule = ["PREROUTING", "-t", "raw", "-p", "tcp", "--dport", "21", "-j", "CT", "--helper", "ftp"]
    for program in ("iptables-nft", "ip6tables-nft"):
        router.run([program, "-I", *rule])
    try:
        yield
    finally:
        for program in ("iptables-nft", "ip6tables-nft"):
            router.run([program, "-D", *rule])


@DATAPLANES
@FAMILIES
def test_what_an_assigned_helper_lets_in_passes(
    lab: Lab, host: Host, router: Namespace, family: Family
) -> None:
    """To a high port, and it is counted; nothing is dropped."""
    narrow(host, "related = true")
    apply(host, router, FTP)
    with control(lab, family) as ftp:
        connect(lab, passive(ftp, family)).close()
    found = counted(host)
    assert found["ftp: let in to port 1024 and above"] == 1
    assert sum(found.values()) == 1


@DATAPLANES
@FAMILIES
def test_what_goes_to_a_low_port_is_dropped(
    lab: Lab, host: Host, router: Namespace, family: Family
) -> None:
    """The lowest port is per helper; the router's own firewall would have let it in."""
    narrow(host, "related = true", "lowest_ports = {ftp = 65535}")
    apply(host, router, FTP)
    with control(lab, family) as ftp, pytest.raises(OSError):
        connect(lab, passive(ftp, family))
    assert counted(host)["ftp: dropped, below that"] >= 1


@FAMILIES
def test_what_another_helper_lets_in_is_dropped(
    lab: Lab, host: Host, router: Namespace, family: Family
) -> None:
    """A foreign rule assigns ftp: it is not assigned here, so nothing that it lets in passes."""
    narrow(host, "related = true")
    with foreign_helper(router):
        apply(host, router, TFTP)
        with control(lab, family) as ftp:
            assert witnessed(router) == (1, 0)
            with pytest.raises(OSError):
                connect(lab, passive(ftp, family))
        dropped = counted(host)["dropped: let in by a helper that is not assigned here"]
        assert dropped >= 1
        narrow(host)
        apply(host, router, TFTP)
        with control(lab, family) as ftp:
            connect(lab, passive(ftp, family)).close()


@DATAPLANES
def test_errors_about_connections_are_not_helpers(lab: Lab, host: Host, router: Namespace) -> None:
    """ICMP errors are related as well, and have nothing to do with any of this."""
    narrow(host, "related = true")
    apply(host, router, FTP)
    lab.net.router.nft("insert rule inet cthlab forward udp dport 7 accept")
    code = (
        "import socket;s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);s.settimeout(3);"
        f"s.connect(('{lab.net.server.v4}',7));s.send(b'x')\n"
        "try:\n s.recv(1)\nexcept ConnectionRefusedError:\n print('refused')"
    )
    assert lab.net.client.run(["python3", "-c", code]).stdout == "refused\n"
    assert sum(counted(host).values()) == 0
    lab.net.install_firewall()


@DATAPLANES
@FAMILIES
@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (['not_from = ["ins*"]'], "no helper: came in by ins*"),
        (['not_from = ["inside"]'], "no helper: came in by inside"),
    ],
)
def test_no_helper_from_an_interface(
    lab: Lab, host: Host, router: Namespace, family: Family, lines: list[str], words: str
) -> None:
    """The connection lives, without a helper; from elsewhere it would have got one."""
    narrow(host, *lines)
    apply(host, router, FTP)
    with control(lab, family) as ftp:
        assert witnessed(router) == (0, 0)
        assert ftp.sendcmd("NOOP").startswith("200")
    assert counted(host)[words] >= 1
    narrow(host, 'not_from = ["outside", "inside0", "ide*"]')
    apply(host, router, FTP)
    with control(lab, family):
        assert witnessed(router) == (1, 0)


@DATAPLANES
@FAMILIES
@pytest.mark.parametrize("how", ["strict", "loose"])
def test_no_helper_for_spoofed_packets(
    lab: Lab, host: Host, router: Namespace, family: Family, how: str
) -> None:
    """Honest clients get theirs; an address that is routed elsewhere, or nowhere, gets none."""
    narrow(host, f'anti_spoofing = "{how}"')
    apply(host, router, FTP)
    with control(lab, family):
        assert witnessed(router) == (1, 0)
    router.run(["conntrack", "-F"])
    v6 = family is Family.IPV6
    elsewhere = "2001:db8:2::77" if v6 else "198.51.100.77"
    nowhere = "2001:db8:99::1" if v6 else "203.0.113.77"
    for spoofed, gets in ((elsewhere, how == "loose"), (nowhere, False)):
        spoof(lab, family, spoofed)
        listed = router.run(["conntrack", "-L", "-f", family.value]).stdout
        (flow,) = re.findall(f".*src={spoofed} dst=.*", listed)
        assert ("helper=ftp" in flow) is gets
        router.run(["conntrack", "-F"])


def spoof(lab: Lab, family: Family, source: str) -> None:
    """Send the first packet of an FTP connection from an address that is not the client's."""
    bits = 128 if family is Family.IPV6 else 32
    address = ["ip", "address", "add", f"{source}/{bits}", "dev", "eth0"]
    lab.net.client.run([*address, "nodad"] if bits == 128 else address)
    code = (
        "import socket\n"
        f"s=socket.socket(socket.AF_INET{'6' if bits == 128 else ''})\n"
        f"s.bind(('{source}',0))\ns.settimeout(0.3)\n"
        f"try:\n s.connect(('{lab.net.server.address(family)}',21))\nexcept OSError:\n pass"
    )
    try:
        lab.net.client.run(["python3", "-c", code])
    finally:
        lab.net.client.run(["ip", "address", "del", f"{source}/{bits}", "dev", "eth0"])


def test_nft_reads_what_we_wrote(lab: Lab, host: Host, router: Namespace) -> None:
    """The witness lists the rules as the documentation has them."""
    narrow(host, "related = true", 'anti_spoofing = "strict"', 'not_from = ["qg-*"]')
    apply(host, router, FTP)
    listed = router.run(["nft", "list", "table", "inet", "ctherd"]).stdout
    for line in (
        "ct state != new accept",
        'iifname "qg-*" counter packets 0 bytes 0 accept',
        "fib saddr . iif oif 0 counter packets 0 bytes 0 accept",
        "ct state != related accept",
        'ct helper "ftp" th dport >= 1024 counter packets 0 bytes 0 accept',
        'ct helper "ftp" counter packets 0 bytes 0 drop',
        'ct helper != "" counter packets 0 bytes 0 drop',
        "type filter hook forward priority filter + 10; policy accept;",
    ):
        assert line in listed, listed


@pytest.mark.usefixtures("only_agent")
def test_the_agent_narrows_without_a_restart(lab: Lab, host: Host, router: Namespace) -> None:
    """SIGHUP makes tables anew, in one transaction, and undoes it as well."""
    apply(host, router, FTP)

    def rules() -> str:
        return router.run(["nft", "list", "table", "inet", "ctherd"]).stdout

    with host.agent() as agent:
        assert "related" not in rules()
        narrow(host, "related = true")
        agent.signal(signal.SIGHUP)
        assert becomes(lambda: "related_forward" in rules())
        assert host.show()[0]["damage"] == []
        narrow(host)
        agent.signal(signal.SIGHUP)
        assert becomes(lambda: "related_forward" not in rules())


@pytest.mark.usefixtures("only_agent")
@pytest.mark.parametrize("dataplane", ["iptables-nft"], indirect=True)
def test_an_agent_with_iptables_narrows_and_repairs(
    lab: Lab, host: Host, router: Namespace, dataplane: str
) -> None:
    """SIGHUP takes a scope over; what somebody else flushes is made again."""
    apply(host, router, FTP)

    def guards() -> int:
        return router.run(["iptables-nft-save", "-t", "security"]).stdout.count("-j DROP")

    with host.agent() as agent:
        narrow(host, "related = true")
        config = host.command.directory / "ctherd.toml"
        assert dataplane in config.read_text()
        agent.signal(signal.SIGHUP)
        assert becomes(lambda: guards() == 2)
        router.run(["iptables-nft", "-t", "security", "-F"])
        assert becomes(lambda: guards() == 2)
        assert host.show()[0]["damage"] == []
        narrow(host)
        agent.signal(signal.SIGHUP)
        assert becomes(lambda: guards() == 0)


@FAMILIES
@DATAPLANES
def test_what_a_stranger_lets_in_is_dropped(
    lab: Lab, host: Host, router: Namespace, family: Family
) -> None:
    """A foreign rule gives ftp at another port, with nf_tables: nothing that it lets in passes."""
    narrow(host, "related = true")
    apply(host, router, TFTP)
    router.nft(
        'table inet strange { ct helper f { type "ftp" protocol tcp; }\n'
        "chain c { type filter hook prerouting priority -150;\n"
        'tcp dport 21 ct helper set "f"\n}\n}'
    )
    try:
        with control(lab, family) as ftp:
            assert witnessed(router) == (1, 0)
            with pytest.raises(OSError):
                connect(lab, passive(ftp, family))
        assert counted(host)["dropped: let in by a helper that is not assigned here"] >= 1
        apply(host, router, TFTP, FTP)
        with control(lab, family) as ftp:
            connect(lab, passive(ftp, family)).close()
    finally:
        router.run(["nft", "delete", "table", "inet", "strange"])


@pytest.mark.parametrize("dataplane", ["iptables-nft", "iptables-legacy"], indirect=True)
def test_nothing_is_left_when_nothing_is_assigned_or_narrowed(
    lab: Lab, host: Host, router: Namespace, dataplane: str
) -> None:
    """Chains of ours go with what they narrow; so they do when the scope is wide again."""
    variant = dataplane.removeprefix("iptables-")

    def listed(table: str) -> str:
        saves = (f"iptables-{variant}-save", f"ip6tables-{variant}-save")
        return "".join(router.run([each, "-t", table]).stdout for each in saves)

    everything = ("related = true", 'anti_spoofing = "strict"', 'not_from = ["qg-*"]')
    for undo in ("apply", "widen", "uninstall"):
        narrow(host, *everything)
        apply(host, router, FTP)
        assert listed("raw").count("-m rpfilter --invert") == 2
        assert listed("security").count("-j DROP") == 4
        if undo == "apply":
            apply(host, router)
        elif undo == "widen":
            narrow(host)
            apply(host, router, FTP)
            assert listed("raw").count("-j CT") == 2
        else:
            host.ctherd("uninstall", "--yes")
        assert "ctherd" not in listed("security")
        assert "rpfilter" not in listed("raw")
        assert ("ctherd" in listed("raw")) is (undo == "widen")


def test_iptables_cannot_name_every_interface(lab: Lab, host: Host, router: Namespace) -> None:
    """One that it would take for something else is refused, instead of being left out silently."""
    apply(host, router)
    narrow(host, 'not_from = ["wan+"]')
    config = host.command.directory / "ctherd.toml"
    config.write_text('dataplane = "iptables-nft"\n' + config.read_text())
    said = host.ctherd("plan", "-f", str(host.command.herd), expect=1)
    assert "cannot name the interface 'wan+'" in said
    config.write_text(config.read_text().replace('dataplane = "iptables-nft"\n', ""))
