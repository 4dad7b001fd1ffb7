"""Names to network namespaces: opened without following links, checked, identified by cookie."""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ctherd.errors import (
    DataplaneError,
    NetnsAbsent,
    NetnsDirectoryAbsent,
    NetnsRefused,
    PrivilegeMissing,
)
from ctherd.model.document import HOST, NetnsName
from ctherd.netlink.socket import RECEIVE_BYTES, NetlinkSocket, adopt
from ctherd.netlink.transport import Transport
from ctherd.netns.enter import CLONE_NEWNET, entered, unshared
from ctherd.netns.open_files import leaves_room

_NS_GET_NSTYPE: Final = 0xB703  # linux/nsfs.h
_OWN_NETNS: Final = "/proc/thread-self/ns/net"


@dataclass(frozen=True, slots=True)
class Namespace:
    """An open netns: the transport keeps it alive until it is closed.

    Shape: equal *cookie*, same netns; the kernel never gives a cookie twice. It does so with an
    *inode*, but not while the netns that has it is kept alive.
    """

    name: NetnsName
    cookie: int
    transport: Transport
    inode: int = 0

    def close(self) -> None:
        """Let go of the netns."""
        self.transport.close()


class NetnsDirectory:
    """The directory in which `ip netns` and its like mount network namespaces.

    All transports that it opens share one receive buffer: use them from one thread. Shape:
    *leave_room* keeps some open files free for everything else; one that opens a netns for a moment
    only may do without.
    """

    def __init__(self, path: Path, *, leave_room: bool = True) -> None:
        self.path = path
        self._leave_room = leave_room
        self._buffer = bytearray(RECEIVE_BYTES)
        self._inherited: dict[int, NetlinkSocket] = {}
        own = NetlinkSocket(self._buffer)
        self._own_cookie = own.cookie
        own.close()

    def names(self) -> list[NetnsName]:
        """List the names in the directory, sorted; none if it does not exist."""
        try:
            return sorted(NetnsName(entry.name) for entry in os.scandir(self.path))
        except FileNotFoundError:
            return []

    def inherit(self, filenos: list[int]) -> None:
        """Use these sockets, kept open over a restart, when their netns are opened next."""
        for fileno in filenos:
            try:
                kept = adopt(fileno, self._buffer)
            except OSError:
                continue
            self._inherited[kept.cookie] = kept

    def drop_inherited(self) -> None:
        """Close inherited sockets that nobody asked for: they may be all that keeps a netns."""
        for kept in self._inherited.values():
            kept.close()
        self._inherited.clear()

    def open(self, name: NetnsName) -> Namespace:
        """Open the netns called *name*, or HOST.

        Raises: NetnsAbsent if there is none (yet); NetnsRefused if the name leads elsewhere;
        PrivilegeMissing without CAP_SYS_ADMIN; DataplaneError for what else the kernel says.
        """
        fd = self.open_fd(name)
        try:
            inode = os.fstat(fd).st_ino
            with entered(fd):
                fresh = NetlinkSocket(self._buffer)
        except PermissionError as error:
            raise _not_permitted("entering a network namespace", name) from error
        except OSError as error:
            raise DataplaneError(
                "open a netlink socket", netns=name, errno=error.errno or errno.EIO
            ) from error
        finally:
            os.close(fd)
        if self._leave_room and not leaves_room(fresh.fileno()):
            fresh.close()
            raise no_room("open a netlink socket", name)
        cookie = fresh.cookie
        if cookie == self._own_cookie and name != HOST:
            fresh.close()
            raise NetnsRefused(
                "is the host's own network namespace under another name",
                where=name,
                cure=f"declare it as `netns: {HOST}`, and allow it with allow_host = true",
            )
        kept = self._inherited.pop(cookie, None)
        if kept is None:
            return Namespace(name, cookie, fresh, inode)
        fresh.close()
        return Namespace(name, cookie, kept, inode)

    def leads_to(self, namespace: Namespace) -> bool:
        """Tell whether the name of *namespace* still leads to it."""
        path = _OWN_NETNS if namespace.name == HOST else f"{self.path}/{namespace.name}"
        try:
            return os.stat(path).st_ino == namespace.inode
        except OSError:
            return False

    def scratch(self) -> Namespace:
        """Open a fresh netns that nobody else sees and that dies when it is closed.

        Raises: PrivilegeMissing without CAP_SYS_ADMIN.
        """
        name = NetnsName("(scratch)")
        try:
            with unshared() as fd, entered(fd):
                fresh = NetlinkSocket(self._buffer)
        except PermissionError as error:
            raise _not_permitted("making a network namespace", name) from error
        return Namespace(name, fresh.cookie, fresh)

    @contextmanager
    def held(self, name: NetnsName) -> Iterator[int]:
        """Hold a descriptor of the netns called *name*."""
        fd = self.open_fd(name)
        try:
            yield fd
        finally:
            os.close(fd)

    def open_fd(self, name: NetnsName) -> int:
        """Open the file that stands for the netns *name*; the caller closes it."""
        if name == HOST:
            return os.open(_OWN_NETNS, os.O_RDONLY | os.O_CLOEXEC)
        check_name(name)
        fd = self._open_entry(name)
        try:
            _check_is_netns(fd, name)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _open_entry(self, name: NetnsName) -> int:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            return os.open(f"{self.path}/{name}", flags)
        except FileNotFoundError as error:
            where = f"{self.path}/{name}"
            if not self.path.is_dir():
                raise NetnsDirectoryAbsent("there is no such directory yet", where=where) from error
            raise NetnsAbsent("no such network namespace", where=where) from error
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise NetnsRefused(
                    "is a symbolic link, which is not followed",
                    where=f"{self.path}/{name}",
                    cure="mount the namespace itself there, as `ip netns attach` does",
                ) from error
            raise DataplaneError(
                "open the network namespace", netns=name, errno=error.errno or errno.EIO
            ) from error


def no_room(what: str, name: NetnsName) -> DataplaneError:
    """Return the error that says that namespaces have all the open files they may have."""
    return DataplaneError(
        what,
        netns=name,
        errno=errno.EMFILE,
        cure="raise the limit of open files (LimitNOFILE= of the unit): each namespace needs one",
    )


def _not_permitted(what: str, name: NetnsName) -> PrivilegeMissing:
    return PrivilegeMissing(
        f"{what} is not permitted",
        where=name,
        cure="run as root, or with CAP_SYS_ADMIN and CAP_NET_ADMIN",
    )


def check_name(name: str) -> None:
    """Check that *name* is one path component.

    Raises: NetnsRefused.
    """
    if not name or name in (".", "..") or "/" in name or "\0" in name or len(name) > 255:
        raise NetnsRefused(f"{name!r} is not the name of a network namespace")


def _check_is_netns(fd: int, name: NetnsName) -> None:
    try:
        kind = fcntl.ioctl(fd, _NS_GET_NSTYPE)
    except OSError as error:
        if stat.S_ISREG(os.fstat(fd).st_mode):
            # `ip netns add` makes an empty file first and mounts the namespace over it next.
            raise NetnsAbsent("nothing is mounted there yet", where=name) from error
        raise NetnsRefused("is not a network namespace", where=name) from error
    if kind != CLONE_NEWNET:
        raise NetnsRefused("is a namespace, but not a network namespace", where=name)
