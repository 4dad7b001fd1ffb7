"""What only the scripted kernel can do: other kernels, strangers, faults, events, namespaces."""

import errno
import select
from pathlib import Path

import pytest

from ctherd.errors import NetnsAbsent
from ctherd.model.document import NetnsName
from ctherd.testing.clock import ManualClock
from ctherd.testing.endpoint import WouldBlockForever
from ctherd.testing.helper_matrix import LINUX_6_18
from ctherd.testing.kernel import FakeKernel
from ctherd.testing.modules import FakeModules
from ctherd.testing.netns import FakeNetns
from ctherd.testing.netns_directory import FakeNetnsDirectory
from ctherd.testing.nf_tables.operations import Operation
from tests.testing import raw
from tests.testing.contract.peer import (
    Peer,
    errors,
    new_chain,
    new_elements,
    new_map,
    new_object,
    new_table,
)

GUARDED = raw.OWNER | raw.PERSIST
FTP = raw.key(6, 21)


@pytest.fixture
def kernel() -> FakeKernel:
    return FakeKernel()


@pytest.fixture
def netns(kernel: FakeKernel) -> FakeNetns:
    return kernel.create("q")


def planted(netns: FakeNetns, flags: int = GUARDED) -> Peer:
    peer = Peer(netns.connect())
    peer.do(new_table(flags=flags), new_object("ftp", "ftp"), new_map())
    peer.do(new_elements(raw.element(FTP, "ftp")))
    return peer


# -- other kernels ---------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [raw.PERSIST, GUARDED])
def test_an_old_kernel_knows_no_persistence(flags: int) -> None:
    """Before Linux 6.9 the flag is EOPNOTSUPP."""
    peer = Peer(FakeKernel(persist=False).create("q").connect())
    assert peer.errno(new_table(flags=flags)) == errno.EOPNOTSUPP


def test_an_old_kernel_has_owners(kernel: FakeKernel) -> None:
    """Owner alone works there; the table dies with the socket."""
    netns = FakeKernel(persist=False).create("q")
    peer = planted(netns, raw.OWNER)
    assert netns.nft_delete_table("t") == errno.EPERM
    peer.close()
    assert netns.nft_delete_table("t") == errno.ENOENT


def test_a_kernel_may_lack_helpers() -> None:
    """A helper that is left out of the matrix is ENOENT."""
    matrix = {key: value for key, value in LINUX_6_18.items() if key[0] != "ftp"}
    peer = Peer(FakeKernel(helpers=matrix).create("q").connect())
    peer.do(new_table())
    assert peer.errno(new_object("o", "ftp")) == errno.ENOENT
    assert peer.errno(new_object("o", "irc")) == 0


def test_modules_are_loaded_on_demand(tmp_path: Path) -> None:
    """Creating the object loads nf_conntrack_ftp, not nf_nat_ftp; what is not there is ENOENT."""
    modules = FakeModules(
        tmp_path,
        builtin=["nf_conntrack_irc"],
        available=["nf_conntrack_ftp", "nf_nat_ftp"],
    )
    peer = Peer(FakeKernel(modules=modules).create("q").connect())
    peer.do(new_table())
    assert peer.errno(new_object("a", "ftp"), new_object("b", "irc")) == 0
    assert peer.errno(new_object("c", "sane")) == errno.ENOENT
    assert modules.has("nf_conntrack_ftp")
    assert not modules.has("nf_nat_ftp")
    loaded = (tmp_path / "proc" / "modules").read_text(encoding="utf-8")
    assert loaded == "nf_conntrack_ftp 16384 0 - Live 0x0000000000000000\n"


def test_modules_are_told_in_three_places(tmp_path: Path) -> None:
    """/proc/modules and /sys/module for live ones, modules.builtin for what is compiled in."""
    FakeModules(tmp_path, loaded=["nf_nat_ftp"], builtin=["nf_nat_irc"], release="6.1.0-x")
    builtin = tmp_path / "lib/modules/6.1.0-x/modules.builtin"
    assert builtin.read_text(encoding="utf-8") == "kernel/net/netfilter/nf_nat_irc.ko\n"
    assert (tmp_path / "sys/module/nf_nat_ftp/initstate").read_text(encoding="utf-8") == "live\n"
    assert not (tmp_path / "sys/module/nf_nat_irc").exists()
    assert (tmp_path / "proc/sys/kernel/osrelease").read_text(encoding="utf-8") == "6.1.0-x\n"


def test_the_generation_wraps(netns: FakeNetns) -> None:
    """After 2³²−1 comes 1: there is no generation 0."""
    netns.ruleset.generation = 0xFFFFFFFF
    peer = Peer(netns.connect())
    assert peer.commit(new_table(), genid=0xFFFFFFFF) == []
    assert peer.generation() == 1


@pytest.mark.parametrize(
    "message",
    [
        raw.nft(raw.NEWTABLE, raw.table("t"), flags=raw.CREATE, family=7),
        raw.nft(22, raw.table("t")),
        raw.nft(
            raw.NEWSET,
            raw.object_map("t", "i", 4, flags=raw.SET_INTERVAL),
            flags=raw.CREATE,
        ),
        raw.nft(
            raw.NEWRULE,
            raw.text(1, "t") + raw.text(2, "pre") + raw.nest(4, raw.expression("lookup")),
            flags=raw.CREATE,
        ),
        raw.nft(raw.NEWOBJ, raw.object_name("t", "o", 1) + raw.nest(4, b""), flags=raw.CREATE),
    ],
    ids=["family", "flowtable", "rbtree", "expression", "object"],
)
def test_what_is_not_modelled_is_refused_in_words(netns: FakeNetns, message: bytes) -> None:
    """The scripted kernel never pretends."""
    peer = Peer(netns.connect())
    peer.do(new_table(), new_chain())
    (answer,) = peer.commit(message)
    assert answer.errno == errno.EOPNOTSUPP
    assert answer.words.startswith("the scripted kernel does not model ")


# -- strangers -------------------------------------------------------------------------------------


def test_strangers_are_kept_out_of_an_owned_table(netns: FakeNetns) -> None:
    """They get EPERM, and a flush skips the table."""
    peer = planted(netns)
    assert netns.nft_delete_element("t", "m", FTP) == errno.EPERM
    assert netns.nft_add_element("t", "m", raw.key(17, 69), "ftp") == errno.EPERM
    assert netns.nft_delete_table("t") == errno.EPERM
    assert netns.flush_ruleset() == 0
    assert peer.elements("t", "m") == {(FTP, None): "ftp"}


def test_strangers_spoil_a_plain_table(netns: FakeNetns) -> None:
    """All that nft can do to a table that nobody owns."""
    peer = planted(netns, 0)
    peer.do(new_chain("regular", None))
    with netns.stranger() as other:
        assert other.delete_element("t", "m", FTP) == 0
        assert other.delete_element("t", "m", FTP) == errno.ENOENT
        assert other.add_element("t", "m", FTP, "ftp") == 0
        assert other.flush_map("t", "m") == 0
        assert other.add_helper_object("t", "x", "sip", 17) == 0
        assert other.delete_helper_object("t", "x") == 0
        assert other.add_chain("t", "theirs") == 0
        assert other.add_counter_rule("t", "theirs") == 0
        assert other.flush_chain("t", "theirs") == 0
        assert other.delete_chain("t", "theirs") == 0
        assert other.add_table("u", flags=GUARDED) == 0
        assert peer.errno(raw.nft(raw.DELTABLE, raw.table("u"))) == errno.EPERM
    assert netns.flush_ruleset() == 0
    assert peer.dump(raw.GETTABLE) == []


def test_an_unrelated_commit_moves_the_generation(netns: FakeNetns) -> None:
    """Each by one."""
    peer = planted(netns)
    before = peer.generation()
    assert [netns.foreign_commit() for _ in range(3)] == [0, 0, 0]
    assert peer.generation() == before + 3


# -- faults ----------------------------------------------------------------------------------------


def test_the_next_operation_fails(netns: FakeNetns) -> None:
    """Once, with the errno and the words that were planted, and its batch with it."""
    peer = Peer(netns.connect())
    netns.fail_next(Operation.NEWOBJ, errno.ENOMEM, "no more")
    (answer,) = peer.commit(new_table(), new_object("o", "ftp"))
    assert (answer.errno, answer.words) == (errno.ENOMEM, "no more")
    assert peer.dump(raw.GETTABLE) == []
    assert peer.commit(new_table(), new_object("o", "ftp")) == []


@pytest.mark.parametrize("place", ["send", "receive"])
def test_the_next_call_fails(netns: FakeNetns, place: str) -> None:
    """Sending and receiving raise what was planted, once; the datagram was not carried out."""
    peer = Peer(netns.connect())
    netns.fail_next(place, errno.ENOBUFS)
    with pytest.raises(OSError) as caught:
        peer.generation()
    assert caught.value.errno == errno.ENOBUFS
    list(peer.datagrams())
    assert peer.generation() == 1


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize(("hook", "generation"), [("before_datagram", 1), ("after_datagram", 2)])
def test_a_process_may_die_around_a_datagram(
    kernel: FakeKernel, netns: FakeNetns, hook: str, generation: int
) -> None:
    """Before it nothing has happened; after it everything has."""
    seen: list[tuple[str, int]] = []

    def die(where: FakeNetns, datagram: bytes) -> None:
        seen.append((where.name, len(datagram)))
        raise Killed

    peer = Peer(netns.connect())
    datagram = raw.batch(new_table())
    setattr(kernel, hook, die)
    with pytest.raises(Killed):
        peer.send(datagram)
    setattr(kernel, hook, None)
    assert seen == [("q", len(datagram))]
    assert Peer(netns.connect()).generation() == generation


def test_waiting_in_vain_is_an_error(netns: FakeNetns) -> None:
    """Where a real process would sleep for ever the test fails at once."""
    with pytest.raises(WouldBlockForever):
        netns.connect().receive()


def test_a_closed_socket_is_of_no_use(netns: FakeNetns) -> None:
    """EBADF; closing twice is no error."""
    opened = netns.connect()
    opened.close()
    opened.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        opened.send(b"")
    with pytest.raises(OSError, match="Bad file descriptor"):
        opened.receive()


# -- events ----------------------------------------------------------------------------------------


def test_effective_commits_are_announced(kernel: FakeKernel, netns: FakeNetns) -> None:
    """Where, which generation, and who; not what changed nothing, failed, or only asked."""
    listener = kernel.subscribe()
    other = Peer(kernel.create("other").connect(pid=7, process="agent"))
    other.do(new_table())
    other.commit(new_table())
    other.commit(raw.nft(raw.DELTABLE, raw.table("no")))
    netns.foreign_commit()
    first, second = listener.next_commit(), listener.next_commit()
    assert first is not None
    assert second is not None
    assert (first.netns, first.nsid, first.generation, first.pid) == ("other", 1, 2, 7)
    assert (second.netns, second.nsid, second.generation) == ("q", 0, 2)
    assert listener.next_commit() is None


def test_an_event_is_the_generation_message(kernel: FakeKernel, netns: FakeNetns) -> None:
    """In bytes, as a socket for all namespaces gets it, with the nsid beside it."""
    listener = kernel.subscribe()
    netns.foreign_commit()
    received = listener.receive()
    assert received is not None
    (answer,) = raw.answers(bytes(received[0]))
    assert (answer.op, answer.number(1), answer.name(3)) == (raw.NEWGEN, 2, "nft")
    assert received[1] == netns.nsid
    assert listener.receive() is None


def test_lost_events_are_told(kernel: FakeKernel, netns: FakeNetns) -> None:
    """ENOBUFS once: on demand, or when the queue is full."""
    listener, small = kernel.subscribe(), kernel.subscribe(capacity=1)
    netns.foreign_commit()
    netns.foreign_commit()
    listener.overflow()
    for each in (listener, small):
        with pytest.raises(OSError) as caught:
            each.next_commit()
        assert caught.value.errno == errno.ENOBUFS
    assert listener.next_commit() is None
    assert small.next_commit() is not None


def test_a_subscription_can_be_waited_for(kernel: FakeKernel, netns: FakeNetns) -> None:
    """Its file descriptor is readable while there is something to take."""
    listener = kernel.subscribe()

    def readable() -> bool:
        return bool(select.select([listener], [], [], 0)[0])

    assert not readable()
    netns.foreign_commit()
    netns.foreign_commit()
    for _ in range(2):
        assert readable()
        assert listener.next_commit() is not None
    assert not readable()
    listener.overflow()
    assert readable()
    listener.close()
    netns.foreign_commit()


# -- namespaces ------------------------------------------------------------------------------------


def test_cookies_are_never_given_twice(kernel: FakeKernel, netns: FakeNetns) -> None:
    """A namespace that returns under its name is another one, though its nsid may be the same."""
    again = netns.recreate()
    assert again.cookie != netns.cookie
    assert again.nsid == netns.nsid
    assert kernel.netns("q") is again
    assert kernel.names() == ["q"]


def test_an_open_socket_pins_a_deleted_namespace(kernel: FakeKernel, netns: FakeNetns) -> None:
    """It lives on, and works, until the last socket is closed."""
    peer = planted(netns)
    netns.delete()
    assert kernel.names() == []
    assert kernel.pinned() == [netns]
    assert peer.elements("t", "m")
    peer.close()
    assert kernel.pinned() == []
    assert not netns.alive


def test_namespaces_do_not_see_each_other(kernel: FakeKernel, netns: FakeNetns) -> None:
    """Tables and generations are per namespace."""
    planted(netns)
    other = Peer(kernel.create("other").connect())
    assert other.dump(raw.GETTABLE) == []
    assert other.generation() == 1


def test_names_are_taken_once(kernel: FakeKernel, netns: FakeNetns) -> None:
    """As with ``ip netns``; a rename keeps the namespace."""
    with pytest.raises(FileExistsError):
        kernel.create("q")
    with pytest.raises(FileNotFoundError):
        kernel.delete("no")
    kernel.rename("q", "p")
    assert kernel.find("q") is None
    assert kernel.find("p") is netns


def test_the_directory_opens_by_name(kernel: FakeKernel, netns: FakeNetns) -> None:
    """As the real one: cookie and transport, or NetnsAbsent; a scratch netns has no name."""
    directory = FakeNetnsDirectory(kernel)
    opened = directory.open(NetnsName("q"))
    assert opened.cookie == netns.cookie
    assert directory.leads_to(opened)
    assert Peer(opened.transport).generation() == 1
    netns.recreate()
    assert not directory.leads_to(opened)
    opened.close()
    with pytest.raises(NetnsAbsent):
        directory.open(NetnsName("no"))
    scratch = directory.scratch()
    assert directory.names() == ["q"]
    assert Peer(scratch.transport).generation() == 1
    scratch.close()
    assert kernel.pinned() == []


def test_a_flow_can_be_planted(netns: FakeNetns) -> None:
    """Expectations need a helper, as only a helper makes them."""
    from ctherd.testing.conntrack.flows import Flow, Tuple

    original = Tuple(b"\1\1\1\1", b"\2\2\2\2", 6, 1001, 21)
    reply = Tuple(b"\2\2\2\2", b"\1\1\1\1", 6, 21, 1001)
    netns.conntrack.flows.append(Flow(raw.IPV4, original, reply))
    with pytest.raises(ValueError, match="without a helper"):
        netns.conntrack.expect(netns.conntrack.flows[0], reply)
    peer = Peer(netns.connect())
    answers = peer.ask(raw.message(raw.CTNETLINK << 8 | 1, raw.DUMP, 3, raw.IPV4, b""))
    assert len(answers) == 2
    assert errors(answers) == []


def test_the_clock_moves_by_hand() -> None:
    """Forward only."""
    clock = ManualClock(10.0)
    assert clock.now_s() == clock.now_s() == 10.0
    clock.advance(2.5)
    assert clock.now_s() == 12.5
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)
