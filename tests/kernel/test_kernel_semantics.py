"""The contract, over the real kernel in fresh namespaces, and what only it can show."""

# ruff: noqa: F403
import ctypes
import errno
import os
import secrets
import socket
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings

from ctherd.testing.kernel import FakeKernel
from tests.testing import raw
from tests.testing.contract.batches import *
from tests.testing.contract.chains import *
from tests.testing.contract.conntrack import *
from tests.testing.contract.dumps import *
from tests.testing.contract.elements import *
from tests.testing.contract.intervals import *
from tests.testing.contract.objects import *
from tests.testing.contract.ownership import *
from tests.testing.contract.peer import Peer, World, new_elements, new_table, planted
from tests.testing.contract.rules import *
from tests.testing.contract.sets import *
from tests.testing.contract.tables import *
from tests.testing.raw import (
    APPEND,
    CREATE,
    DELTABLE,
    GETTABLE,
    NEWCHAIN,
    NEWGEN,
    NEWOBJ,
    NEWRULE,
    NEWSET,
    NEWTABLE,
    OWNER,
    element,
    key,
    nft,
)
from tests.testing.storm import Step, record, steps

NETLINK_NETFILTER = 12
SOL_NETLINK, CAP_ACK, EXT_ACK = 270, 10, 11
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def setns(fd: int) -> None:
    if LIBC.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


@contextmanager
def inside(path: str) -> Iterator[None]:
    """Be in another netns, with this thread alone."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(there)
        yield
    finally:
        setns(home)
        os.close(there)
        os.close(home)


class PlainSocket:
    """A netlink socket without anything of ctherd's in between."""

    def __init__(self, plain: socket.socket) -> None:
        self.socket = plain
        self.portid: int = plain.getsockname()[0]

    def send(self, message: bytes) -> None:
        self.socket.send(message)

    def receive(self, *, wait: bool = True) -> memoryview:
        return memoryview(self.socket.recv(1 << 17, 0 if wait else socket.MSG_DONTWAIT))

    def close(self) -> None:
        self.socket.close()


class RealWorld:
    """A netns of the real kernel."""

    def __init__(self) -> None:
        self.name = f"ctest-{secrets.token_hex(6)}"
        self.pid = os.getpid()
        self.sockets: list[PlainSocket] = []
        subprocess.run(["ip", "netns", "add", self.name], check=True)

    def connect(self) -> Peer:
        with inside(f"/run/netns/{self.name}"):
            plain = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        plain.setsockopt(SOL_NETLINK, EXT_ACK, 1)
        plain.setsockopt(SOL_NETLINK, CAP_ACK, 1)
        plain.bind((0, 0))
        self.sockets.append(PlainSocket(plain))
        return Peer(self.sockets[-1])

    def close(self) -> None:
        for each in self.sockets:
            each.close()
        subprocess.run(["ip", "netns", "delete", self.name], check=True)


@pytest.fixture
def real_world() -> Iterator[RealWorld]:
    made = RealWorld()
    yield made
    made.close()


@pytest.fixture(scope="module")
def storm_netns() -> Iterator[RealWorld]:
    """One netns for all stories: each leaves it empty."""
    made = RealWorld()
    yield made
    made.close()


@pytest.fixture
def world(real_world: RealWorld) -> World:
    return real_world


def nft_command(world: RealWorld, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the real nft in the netns."""
    command = ["ip", "netns", "exec", world.name, "nft", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def comment(kind: int, tag: str) -> bytes:
    """Pack a comment as nft does: a TLV with one byte each of type and length."""
    value = tag.encode() + b"\0"
    return bytes((kind, len(value))) + value


def test_comments_survive_nft(real_world: RealWorld) -> None:
    """`nft list ruleset` shows the table whole, and every tag, for 1,000 random tags."""
    peer = real_world.connect()
    tags = [str(uuid.uuid4()) for _ in range(1000)]
    for start in range(0, len(tags), 5):
        messages: list[bytes] = []
        for tag in tags[start : start + 5]:
            name = f"t-{tag}"
            plain, on_set = comment(0, tag), comment(7, tag)
            messages += [
                nft(NEWTABLE, raw.table(name, userdata=plain), flags=CREATE),
                nft(NEWCHAIN, raw.chain(name, "pre", 0, userdata=plain), flags=CREATE),
                nft(
                    NEWOBJ,
                    raw.helper_object(name, "ftp", "ftp", 6, userdata=plain),
                    flags=CREATE,
                ),
                nft(NEWSET, raw.object_map(name, "m", userdata=on_set), flags=CREATE),
                new_elements(element(key(6, 21), "ftp"), table=name),
                nft(
                    NEWRULE,
                    raw.lookup_rule(name, "pre", "m", userdata=plain),
                    flags=CREATE | APPEND,
                ),
            ]
        peer.do(*messages)
    listing = nft_command(real_world, "list", "ruleset")
    assert (listing.returncode, listing.stderr) == (0, "")
    blocks = listing.stdout.split("table inet ")[1:]
    assert len(blocks) == len(tags)
    for block in blocks:
        tag = block.split(" ", 1)[0].removeprefix("t-")
        assert block.count(f'comment "{tag}"') == 5
        assert 'elements = { tcp . 21 : "ftp" }' in block
        assert block.count("map @m") == 1


def test_nft_is_kept_out_of_an_owned_table(real_world: RealWorld) -> None:
    """The real nft gets EPERM, names the owner, and its flush skips the table."""
    peer = planted(real_world)
    peer.do(new_elements(element(key(6, 21), "ftp")))
    denied = nft_command(real_world, "delete", "element", "inet", "t", "m", "{ tcp . 21 }")
    assert denied.returncode == 1
    assert "Operation not permitted" in denied.stderr
    assert nft_command(real_world, "flush", "ruleset").returncode == 0
    assert peer.elements("t", "m") == {(key(6, 21), None): "ftp"}
    assert "# progname" in nft_command(real_world, "list", "ruleset").stdout


def test_nft_edits_an_orphan(real_world: RealWorld) -> None:
    """Once the owner is gone the real nft adds and deletes elements of the map."""
    owner, reader = planted(real_world), real_world.connect()
    owner.close()
    added = nft_command(real_world, "add", "element", "inet", "t", "m", '{ tcp . 21 : "ftp" }')
    assert added.returncode == 0, added.stderr
    assert reader.elements("t", "m") == {(key(6, 21), None): "ftp"}
    assert nft_command(real_world, "flush", "ruleset").returncode == 0
    assert reader.dump(GETTABLE) == []


def test_a_duplicate_of_the_socket_keeps_the_ownership(real_world: RealWorld) -> None:
    """The kernel counts the socket, not the file descriptor: a descriptor store can guard."""
    owner, other = planted(real_world), real_world.connect()
    plain = owner.transport
    assert isinstance(plain, PlainSocket)
    duplicate = os.dup(plain.socket.fileno())
    owner.close()
    try:
        assert other.errno(nft(DELTABLE, raw.table("t"))) == errno.EPERM
    finally:
        os.close(duplicate)
    assert other.errno(nft(DELTABLE, raw.table("t"))) == 0


def test_the_end_of_an_owner_is_not_announced(real_world: RealWorld) -> None:
    """Nobody is told that a table lost its guard, or died: only reading finds out."""
    owner, dying = planted(real_world), real_world.connect()
    dying.do(new_table("dies", flags=OWNER))
    listener = real_world.connect()
    plain = listener.transport
    assert isinstance(plain, PlainSocket)
    plain.socket.setsockopt(SOL_NETLINK, 1, 7)  # NETLINK_ADD_MEMBERSHIP, NFNLGRP_NFTABLES
    owner.close()
    dying.close()
    assert list(listener.datagrams()) == []
    witness = real_world.connect()
    assert [each.name(1) for each in witness.dump(GETTABLE)] == ["t"]
    witness.do(new_table("u"))
    assert [each.op for part in listener.datagrams() for each in part] == [NEWTABLE, NEWGEN]


@pytest.mark.slow
@settings(max_examples=200)
@given(story=steps())
def test_the_scripted_kernel_does_what_this_one_does(
    storm_netns: RealWorld, story: list[Step]
) -> None:
    """Random batches of two processes: the same answers, generations and listings on both."""
    scripted = FakeKernel().create("storm")
    expected = record(storm_netns.connect, story)
    assert record(lambda: Peer(scripted.connect()), story) == expected
