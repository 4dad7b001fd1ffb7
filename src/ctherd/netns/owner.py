"""Names the process behind a netlink address, as far as this process may look."""

import os
from pathlib import Path

from ctherd.errors import CtherdError
from ctherd.model.document import NetnsName
from ctherd.netns.directory import NetnsDirectory
from ctherd.netns.enter import entered


def describe_port(directory: NetnsDirectory, name: NetnsName, port: int) -> str:
    """Return who has netlink address *port* in the netns *name*, in words.

    A process' first netlink socket in a netns bears its pid; else the socket is looked for.
    """
    pid = _holder_of(_inode(directory, name, port)) or (port if _command(port) else 0)
    if pid:
        return f"process {pid} ({_command(pid) or 'unknown'})"
    return f"the process behind netlink port {port}"


def _inode(directory: NetnsDirectory, name: NetnsName, port: int) -> str:
    """Return the inode of the socket. Source: /proc/net/netlink: sk Eth Pid … Inode."""
    try:
        with directory.held(name) as fd, entered(fd):
            lines = Path("/proc/thread-self/net/netlink").read_text().splitlines()
    except (CtherdError, OSError):
        return ""
    for line in lines[1:]:
        fields = line.split()
        if fields[1] == "12" and fields[2] == str(port):
            return fields[9]
    return ""


def _holder_of(inode: str) -> int:
    if not inode:
        return 0
    for process in os.listdir("/proc"):
        if not process.isdigit():
            continue
        try:
            descriptors = os.scandir(f"/proc/{process}/fd")
            if any(os.readlink(each.path) == f"socket:[{inode}]" for each in descriptors):
                return int(process)
        except OSError:
            continue
    return 0


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
