"""The extension in an agent that is a plain user's, over a real privsep daemon and kernel.

One test for each promise that does not need traffic; that is for tests/openstack.
"""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from sysconfig import get_path
from typing import Any, Final
from uuid import uuid4

import pytest

from ctherd import process
from ctherd.lab.namespace import Namespace
from tests.neutron.unprivileged import UID, AgentProcess, Refused

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(180)]

_CAPABILITIES: Final = 1 << 11 | 1 << 12 | 1 << 21  # NET_BROADCAST, NET_ADMIN, SYS_ADMIN
_NO_GUARD: Final = "own_table = false"


@pytest.fixture
def agent(only_agent: None) -> Iterator[AgentProcess]:
    with AgentProcess.at_home() as agent:
        yield agent


@pytest.fixture
def routers() -> Iterator[Callable[[int], dict[str, str]]]:
    """Makes the namespaces of so many routers: id → name."""
    made: list[str] = []

    def make(count: int) -> dict[str, str]:
        ids = [str(uuid4()) for _ in range(count)]
        made.extend(f"qrouter-{each}" for each in ids)
        process.run(["ip", "-batch", "-"], input="\n".join(f"netns add {each}" for each in made))
        return {each: f"qrouter-{each}" for each in ids}

    yield make
    for each in made:
        process.run(["ip", "netns", "delete", each], check=False)


@pytest.fixture
def router(routers: Callable[[int], dict[str, str]]) -> str:
    (only,) = routers(1)
    return only


def row(helper: str = "ftp", port: int = 21, protocol: str = "tcp") -> dict[str, Any]:
    return {"id": str(uuid4()), "helper": helper, "port": port, "protocol": protocol}


def ports(router: str) -> set[int]:
    """The ports in our map, as nft lists them."""
    listed = Namespace(f"qrouter-{router}").run(
        ["nft", "-j", "list", "map", "inet", "ctherd", "assign"], check=False
    )
    if listed.returncode:
        return set()
    (found,) = [each["map"] for each in json.loads(listed.stdout)["nftables"] if "map" in each]
    return {element[0]["concat"][1] for element in found.get("elem", [])}


def until(holds: Callable[[], bool], within_s: float = 30.0) -> bool:
    give_up_s = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > give_up_s:
            return False
        time.sleep(0.02)
    return True


def capabilities(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    (permitted,) = [line.split()[1] for line in status if line.startswith("CapPrm")]
    return int(permitted, 16)


def enforced(agent: AgentProcess, router: str, *rows: dict[str, Any]) -> None:
    """Have these rows, and only these, in the kernel."""
    agent.order("declare", router=router, rows=rows)
    agent.order("add", routers={router: f"qrouter-{router}"})
    assert until(lambda: ports(router) == {each["port"] for each in rows}), agent.log


def test_the_agent_has_no_privileges_and_its_daemon_has_three(
    agent: AgentProcess, router: str
) -> None:
    """Helpers are made and unmade by a plain user's process; what can do it can do no more."""
    assert agent.start() == ["ctherd"]
    enforced(agent, router, row())
    assert os.stat(f"/proc/{agent.child.pid}").st_uid == UID
    assert capabilities(agent.child.pid) == 0
    assert capabilities(agent.daemon()) == _CAPABILITIES
    agent.order("declare", router=router, rows=[])
    agent.order("push", router=router, event="deleted")
    assert until(lambda: not ports(router)), agent.log


def test_the_daemon_need_not_be_root(agent: AgentProcess, router: str) -> None:
    """Its capabilities are all that it needs, where no program has to be run."""
    agent.start(privsep=f"user = {UID - 1}\ngroup = {UID - 1}")
    enforced(agent, router, row())
    assert os.stat(f"/proc/{agent.daemon()}").st_uid == UID - 1
    assert capabilities(agent.daemon()) == _CAPABILITIES


def test_a_batch_of_routers_costs_a_few_calls_whatever_its_size(
    agent: AgentProcess, routers: Callable[[int], dict[str, str]]
) -> None:
    """Forty routers are pulled with one call to the server, and pass the boundary together."""
    made = routers(40)
    agent.start()
    for router in made:
        agent.order("declare", router=router, rows=[row(), row("sip", 5060, "udp")])
    agent.order("add", routers=dict([made.popitem()]))
    assert until(lambda: agent.order("count")["calls"].get("commit", 0) == 1)
    agent.order("hold", hold=True)
    before = agent.order("count")
    agent.order("add", routers=dict([made.popitem()]))
    agent.order("add", routers=made)
    agent.order("hold", hold=False)
    assert until(lambda: all(ports(each) == {21, 5060} for each in made)), agent.log
    after = agent.order("count")
    assert after["pulls"] - before["pulls"] <= 3
    made_calls = {
        name: count - before["calls"].get(name, 0) for name, count in after["calls"].items()
    }
    assert sum(made_calls.values()) <= 12, made_calls


def test_the_l3_agent_never_waits_for_the_server(
    agent: AgentProcess, routers: Callable[[int], dict[str, str]]
) -> None:
    """Processing a router goes on while the server says nothing, and nothing is forgotten by it."""
    first, second = routers(2)
    agent.start()
    enforced(agent, first, row())
    agent.order("declare", router=second, rows=[row(port=2121)])
    agent.order("hold", hold=True)
    assert agent.order("add", routers={second: f"qrouter-{second}"}) < 1.0
    agent.order("update", router=second)
    assert ports(first) == {21}
    agent.order("hold", hold=False)
    assert until(lambda: ports(second) == {2121}), agent.log


def test_a_failed_pull_is_not_an_empty_answer(agent: AgentProcess, router: str) -> None:
    """A server that answers with an error takes nothing away, and is asked until it answers."""
    agent.start()
    enforced(agent, router, row())
    agent.order("declare", router=router, rows=[row(port=2121)])
    agent.order("fail", fails=True)
    pulls = agent.order("count")["pulls"]
    agent.order("update", router=router)
    assert until(lambda: agent.order("count")["pulls"] >= pulls + 2), agent.log
    assert ports(router) == {21}
    agent.order("fail", fails=False)
    assert until(lambda: ports(router) == {2121}), agent.log


def test_forged_and_malformed_pushes_do_no_harm(
    agent: AgentProcess, routers: Callable[[int], dict[str, str]]
) -> None:
    """A push is a hint: what it says is never believed, and one bad part of it hides no other."""
    first, second = routers(2)
    agent.start()
    enforced(agent, first, row())
    enforced(agent, second, row(port=2121))
    for event in ("created", "updated", "deleted", "nonsense"):
        agent.order("push", router=first, event=event)
        agent.order("push", router=str(uuid4()), event=event)
    for pushed in ([], None, "x", [None, 7], [{"versioned_object.data": {"router_id": ["x"]}}]):
        agent.order("push_raw", pushed=pushed, event="updated")
    agent.order("declare", router=second, rows=[row(port=2222)])
    absent = {"versioned_object.data": {"router_id": str(uuid4())}}
    known = {"versioned_object.data": {"router_id": second}}
    agent.order("push_raw", pushed=[absent, {}, None, known], event="created")
    assert until(lambda: ports(second) == {2222}), agent.log
    assert ports(first) == {21}


def test_what_cannot_be_is_told_once_and_stops_nobody(
    agent: AgentProcess, routers: Callable[[int], dict[str, str]]
) -> None:
    """amanda over tcp is on the reference's default list, and no kernel has it."""
    first, second = routers(2)
    agent.start()
    agent.order("declare", router=second, rows=[row()])
    bad = row("amanda", 10080)
    agent.order("declare", router=first, rows=[bad, row("h323", 1720), row("h323", 1719, "udp")])
    agent.order("add", routers={each: f"qrouter-{each}" for each in (first, second)})
    assert until(lambda: ports(first) == {1720, 1719} and ports(second) == {21}), agent.log
    pulls = agent.order("count")["pulls"]
    agent.order("update", router=first)
    assert until(lambda: agent.order("count")["pulls"] > pulls)
    assert agent.log.count(f"helper {bad['id']} is left out") == 1
    assert "amanda does not speak tcp" in agent.log


def test_a_killed_agent_leaves_its_rules_and_the_next_one_corrects_them(
    agent: AgentProcess, routers: Callable[[int], dict[str, str]]
) -> None:
    """What was deleted while it was down goes, what stays is not touched: its mark is the same."""
    changed, unchanged, orphan = routers(3)
    agent.start()
    for router in (changed, unchanged, orphan):
        enforced(agent, router, row(), row(port=2121))
    before = Namespace(f"qrouter-{unchanged}").run(["nft", "list", "ruleset"]).stdout
    agent.kill()
    assert ports(changed) == ports(unchanged) == ports(orphan) == {21, 2121}
    agent.start()
    agent.order("declare", router=changed, rows=[row(port=2121), row(port=2222)])
    agent.order("declare", router=unchanged, rows=[row(), row(port=2121)])
    agent.order("add", routers={each: f"qrouter-{each}" for each in (changed, unchanged)})
    assert until(lambda: ports(changed) == {2121, 2222}), agent.log
    # The server has no rows of a router that nobody announces any more.
    assert until(lambda: not ports(orphan)), agent.log
    assert ports(unchanged) == {21, 2121}
    after = Namespace(f"qrouter-{unchanged}").run(["nft", "list", "ruleset"]).stdout
    assert _comment(after) == _comment(before)


def _comment(ruleset: str) -> str:
    (line,) = [each for each in ruleset.splitlines() if "comment" in each]
    return line


def test_drift_is_repaired_by_an_event_while_a_pool_of_one_thread_is_free(
    agent: AgentProcess, router: str
) -> None:
    """Sweeps are hours apart: a flush is heard, by something that takes none of its threads."""
    agent.start(ctherd=_NO_GUARD, privsep="thread_pool_size = 1")
    enforced(agent, router, row())
    for _ in range(3):
        Namespace(f"qrouter-{router}").run(["nft", "flush", "ruleset"])
        assert until(lambda: ports(router) == {21}), agent.log
    assert "drift repaired" in agent.log


def test_a_daemon_that_dies_is_replaced_and_what_it_missed_is_repaired(
    agent: AgentProcess, router: str
) -> None:
    """Its tables outlive it; events are heard again, by another one."""
    agent.start(ctherd=_NO_GUARD)
    enforced(agent, router, row())
    former = agent.daemon()
    os.kill(former, signal.SIGSTOP)
    Namespace(f"qrouter-{router}").run(["nft", "flush", "ruleset"])
    os.kill(former, signal.SIGKILL)
    assert until(lambda: ports(router) == {21}), agent.log
    assert agent.daemon() != former
    Namespace(f"qrouter-{router}").run(["nft", "flush", "ruleset"])
    assert until(lambda: ports(router) == {21}), agent.log


def test_a_namespace_that_is_made_anew_gets_its_helpers(agent: AgentProcess, router: str) -> None:
    """Nobody says anything of it: the directory of namespaces does."""
    agent.start()
    enforced(agent, router, row())
    process.run(["ip", "netns", "delete", f"qrouter-{router}"])
    process.run(["ip", "netns", "add", f"qrouter-{router}"])
    assert until(lambda: ports(router) == {21}), agent.log


def test_a_deleted_namespace_is_let_go_of(
    agent: AgentProcess, routers: Callable[[int], dict[str, str]]
) -> None:
    """Our sockets do not keep the namespace of a deleted router, and its interfaces, alive."""
    router, neighbour = routers(2)
    link = ["link", "add", "v0", "type", "veth", "peer", "name", "v0"]
    process.run(["ip", "-n", f"qrouter-{router}", *link, "netns", f"qrouter-{neighbour}"])
    agent.start()
    enforced(agent, router, row())
    agent.order("delete", router=router)
    process.run(["ip", "netns", "delete", f"qrouter-{router}"])

    def link_is_there() -> bool:
        show = ["ip", "link", "show", "v0"]
        return Namespace(f"qrouter-{neighbour}").run(show, check=False).returncode == 0

    assert until(lambda: not link_is_there()), agent.log


def test_both_states_of_an_ha_router_have_the_helpers(agent: AgentProcess, router: str) -> None:
    """A failover changes nothing, so that nothing can be late."""
    agent.start()
    enforced(agent, router, row())
    for state in ("backup", "primary", "backup"):
        agent.order("ha_state_change", router=router, state=state)
        assert ports(router) == {21}


def test_the_kill_switch_works_without_a_restart(agent: AgentProcess, router: str) -> None:
    agent.start()
    enforced(agent, router, row(), row("sip", 5060, "udp"))
    agent.configure(ctherd="deny = ftp")
    agent.order("mutate")
    assert until(lambda: ports(router) == {5060}), agent.log
    agent.configure()
    agent.order("mutate")
    assert until(lambda: ports(router) == {21, 5060}), agent.log


def test_it_refuses_to_work_in_green_threads(agent: AgentProcess) -> None:
    """Where a thread is none, our loop would stop the whole L3 agent."""
    with pytest.raises(Refused, match=r"ConfigurationError.*eventlet"):
        agent.start(GREEN="yes")


def test_it_refuses_to_work_beside_neutrons_own_extension(agent: AgentProcess) -> None:
    with pytest.raises(Refused, match=r"ConfigurationError.*conntrack_helper"):
        agent.start("conntrack_helper,ctherd")


def test_it_refuses_to_work_beside_a_ctherd_agent(agent: AgentProcess, tmp_path: Path) -> None:
    """Two that keep the same namespaces would undo each other's work."""
    herd = tmp_path / "herd.yaml"
    herd.write_text("version: 1\nrouters: []\n")
    config = tmp_path / "ctherd.toml"
    config.write_text(f'file = "{herd}"\nstate_dir = "{tmp_path / "state"}"\nmetrics = ""\n')
    program = str(Path(get_path("scripts"), "ctherd"))
    with process.spawn([program, "--config", str(config), "agent"]) as other:
        assert until(
            lambda: (tmp_path / "state/control").exists() or "in sync" in other.complaints()
        )
        with pytest.raises(Refused, match=r"Busy.*another ctherd agent serves /run/netns"):
            agent.start()


def test_what_neutrons_extension_left_is_ours_before_the_first_router_is_touched(
    agent: AgentProcess, router: str
) -> None:
    """Neutron's iptables manager removes its chains when it works on the router: by then ours hold.

    What was left and is nobody's wish any more goes with the server's answer.
    """
    netns = Namespace(f"qrouter-{router}")
    _leave_chains(netns, [21, 2121])
    agent.start()
    agent.order("hold", hold=True)
    agent.order("declare", router=router, rows=[row()])
    agent.order("announce", router=router)
    assert ports(router) == {21, 2121}, agent.log
    agent.order("add", routers={router: netns.name})
    assert "-cth" in netns.run(["iptables-nft-save", "-t", "raw"]).stdout
    agent.order("hold", hold=False)
    assert until(lambda: ports(router) == {21}), agent.log
    for family in ("iptables", "ip6tables"):
        assert until(lambda: "-cth" not in _raw(netns, family)), agent.log  # noqa: B023
        assert "neutron-l3-agent-PREROUTING" in _raw(netns, family), "Neutron's own chain stays"
        assert "-A PREROUTING -p udp -j" in _raw(netns, family), "and so does anybody else's rule"


def _raw(netns: Namespace, family: str) -> str:
    return netns.run([f"{family}-nft-save", "-t", "raw"]).stdout


def _leave_chains(netns: Namespace, ports_left: Sequence[int]) -> None:
    """Leave what the extension makes (dataplane.neutron), and a rule of somebody else's."""
    chain = "neutron-l3-agent-cth"
    names = {port: f"{chain}-{port:07x}" for port in ports_left}
    lines = ["*raw", ":neutron-l3-agent-PREROUTING - [0:0]", f":{chain} - [0:0]"]
    lines += [f":{each} - [0:0]" for each in names.values()]
    lines += ["-A PREROUTING -j neutron-l3-agent-PREROUTING", "-A PREROUTING -p udp -j NOTRACK"]
    lines += [f"-A neutron-l3-agent-PREROUTING -j {chain}"]
    for port, each in names.items():
        lines += [f"-A {chain} -j {each}", f"-A {each} -p tcp --dport {port} -j CT --helper ftp"]
    for family in ("iptables", "ip6tables"):
        netns.run([f"{family}-nft-restore", "-n"], input="\n".join([*lines, "COMMIT", ""]))


def test_show_asks_the_extension(agent: AgentProcess, router: str) -> None:
    """An operator sees what is wanted as well, for the extension answers him."""
    agent.start()
    enforced(agent, router, row())
    ctherd = Path(get_path("scripts"), "ctherd")
    words = [ctherd, "show", "--state-dir", agent.home / "ctherd", "-o", "json"]
    (shown,) = json.loads(process.run([*map(str, words)], timeout_s=30).stdout)["routers"]
    assert (shown["netns"], shown["declared"]) == (f"qrouter-{router}", True)
    assert [each["status"] for each in shown["assignments"]] == ["active"]
