"""Room for as many open files as a crowded host takes."""

import sys

from ctherd import process

_TOLD = """
import threading
from ctherd.netns.open_files import allow_most
with_others = threading.Event()
threading.Thread(target=with_others.wait).start()
allow_most()
print(open("/proc/self/status").read())
with_others.set()
"""


def test_there_is_room_for_namespaces_before_they_are_opened() -> None:
    """Where threads share the table of open files, each doubling of it would stall for 10 ms."""
    status = process.run([sys.executable, "-c", _TOLD]).stdout
    room = dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)["FDSize"]
    assert int(room) >= 4096


def test_a_low_limit_is_no_error() -> None:
    """The room is then as small."""
    command = ["prlimit", "--nofile=70:70", sys.executable, "-c", _TOLD]
    assert process.run(command).stdout
