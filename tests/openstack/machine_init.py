"""Process 1 of a machine of its own: makes /run and /etc its own, and buries the dead.

Run as ``unshare --mount --net --pid --fork … machine_init.py CHECKOUT USER UID``. It says
``ready``, and lives until its standard input ends: the kernel then ends everything else here.
"""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

SUDOERS = """\
Defaults !syslog, !fqdn, !use_pty
Defaults secure_path = {bin}:/usr/sbin:/usr/bin:/sbin:/bin
{user} ALL = (root) NOPASSWD: {bin}/neutron-rootwrap /etc/neutron/rootwrap.conf *
"""


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def overlay(directory: Path) -> None:
    """Put a layer in memory over *directory*, which everybody may pass."""
    layer = Path("/run/layers", "-".join(directory.parts[1:]))
    for name in ("upper", "work"):
        (layer / name).mkdir(parents=True)
    where = f"lowerdir={directory},upperdir={layer}/upper,workdir={layer}/work"
    mount("-t", "overlay", "-o", where, "overlay", str(directory))


def own_run_and_etc(user: str, uid: str) -> None:
    """Have an empty /run, so /run/netns too, and an /etc that knows *user* and what it may do."""
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    for name in ("netns", "lock", "tmp"):
        Path("/run", name).mkdir()
    Path("/run/tmp").chmod(0o1777)
    overlay(Path("/etc"))
    append("/etc/passwd", f"{user}:*:{uid}:{uid}::/run/stack:/bin/sh\n")
    append("/etc/group", f"{user}:*:{uid}:\n")
    sudoers = Path("/etc/sudoers")
    sudoers.write_text(SUDOERS.format(bin=Path(sys.executable).parent, user=user), "ascii")
    sudoers.chmod(0o440)


def append(path: str, line: str) -> None:
    with open(path, "a", encoding="ascii") as stream:
        stream.write(line)


def make_passable(directory: Path) -> None:
    """Let everybody on the machine reach *directory*, also one in somebody's home."""
    covered = False
    for each in (*reversed(directory.parents), directory):
        if each.stat().st_mode & 0o001:
            continue
        if not covered:
            overlay(each)
            covered = True
        each.chmod(each.stat().st_mode | 0o005)


def bury_until_stdin_ends() -> None:
    # Whatever is orphaned here becomes our child; nobody wants to know how it ended.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    select.select([0], [], [])


if __name__ == "__main__":
    checkout, user, uid = sys.argv[1:]
    own_run_and_etc(user, uid)
    for needed in (checkout, sys.base_prefix):
        make_passable(Path(needed))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    os.write(1, b"ready\n")
    bury_until_stdin_ends()
