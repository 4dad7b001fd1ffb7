"""The state directory: private, and of one process at a time."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ctherd.errors import Busy, JournalError
from ctherd.journal.state_dir import StateDirectory
from tests.journal.journals import mode


def test_the_state_directory_is_private(tmp_path: Path) -> None:
    """Made with mode 0700, and set to it where it existed; the lock is 0600."""
    before = os.umask(0)
    try:
        for name in ("made/anew", "open"):
            if name == "open":
                (tmp_path / name).mkdir(mode=0o755)
            with StateDirectory(tmp_path / name) as state:
                assert mode(state.path) == 0o700
                assert {mode(each) for each in state.path.iterdir()} == {0o600}
    finally:
        os.umask(before)


HOLD = """
import sys
from pathlib import Path
from ctherd.journal.state_dir import StateDirectory
with StateDirectory(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_held_directory_names_its_holder(tmp_path: Path) -> None:
    """The second process is told which one is there; once that is killed, the place is free."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(Busy, match=rf"\(process {holder.pid}\)"), StateDirectory(tmp_path):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with StateDirectory(tmp_path) as state:
            assert (state.path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_released_directory_can_be_taken_again(tmp_path: Path) -> None:
    """The lock ends with the context."""
    with StateDirectory(tmp_path):
        pass
    with StateDirectory(tmp_path) as again:
        assert again.path == tmp_path


def test_a_file_in_place_of_the_directory(tmp_path: Path) -> None:
    """What cannot be used is told as such."""
    (tmp_path / "file").touch()
    with pytest.raises(JournalError), StateDirectory(tmp_path / "file"):
        pass
