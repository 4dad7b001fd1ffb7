"""Running programs: bounded, without a shell, and with errors that say what to do."""

import os
import sys
import tempfile
from pathlib import Path

import pytest

from ctherd import process
from ctherd.process import CommandFailed, Completed, Task, ToolMissing

READ_AND_EXIT_4 = "import sys; print('hi', flush=True); sys.stdin.read(); sys.exit(4)"

ECHO_ONE_LINE = "import sys; print(input(), flush=True); sys.exit('enough')"


def test_output_comes_back_as_text() -> None:
    """What a program reads and says is text; bytes that are not UTF-8 stay visible."""
    assert process.run(["cat"], input="é" * 100_000).stdout == "é" * 100_000
    assert process.run(["cat"], input=b"\xff").stdout == "\\xff"


def test_nothing_is_interpreted() -> None:
    """Arguments reach the program as they are, because there is no shell."""
    assert process.run(["echo", "$HOME; $(id)"]).stdout == "$HOME; $(id)\n"


def test_a_failure_carries_what_the_program_said() -> None:
    """A checked program that fails raises its own words; an unchecked one returns them."""
    with pytest.raises(CommandFailed, match="No such file"):
        process.run(["cat", "/nonexistent"])

    completed = process.run(["cat", "/nonexistent"], check=False)
    assert completed.returncode == 1
    assert "No such file" in completed.output


def test_a_missing_program_names_the_cure() -> None:
    """A program that is not installed says which package brings it."""
    with pytest.raises(ToolMissing, match=r"apt install nftables"):
        process.run(["/nonexistent/nft"])


def test_a_program_that_overstays_is_killed_with_its_children() -> None:
    """Running ends in time even if a grandchild keeps the pipe open."""
    script = "import subprocess; subprocess.run(['sleep', '1000'])"
    with pytest.raises(CommandFailed, match=r"within 0\.3 s"):
        process.run([sys.executable, "-c", script], timeout_s=0.3)


def test_a_child_is_read_line_by_line() -> None:
    """Lines arrive one at a time, then nothing in time is an error, then the end is empty."""
    with process.spawn([sys.executable, "-c", READ_AND_EXIT_4]) as child:
        assert child.read_line(10.0) == "hi"
        with pytest.raises(CommandFailed, match="said nothing"):
            child.read_line(0.01)
        assert child.finish(10.0) == 4
        assert child.read_line(1.0) == ""


def test_a_child_reads_what_it_is_told() -> None:
    """Lines reach its stdin at once; where it reads no more, that is an error with its words."""
    with process.spawn([sys.executable, "-c", ECHO_ONE_LINE]) as child:
        child.write_line("é")
        assert child.read_line(10.0) == "é"
        child.wait(10.0)
        with pytest.raises(CommandFailed, match="reads no more: enough"):
            child.write_line("more")


def test_a_child_with_a_log_says_everything_there(tmp_path: Path) -> None:
    """Both outputs are appended to the log, and are at hand for an error message."""
    log = tmp_path / "log"
    log.write_text("before\n")
    with process.spawn(["sh", "-c", "echo out; echo err >&2"], log=log) as child:
        child.wait(10.0)

    assert child.complaints() == log.read_text().strip() == "before\nout\nerr"


def test_a_child_has_ended_after_its_context() -> None:
    """A child that goes on for ever is ended and waited for; one that ignores it is killed."""
    stubborn = "import signal; signal.signal(15, signal.SIG_IGN); print(flush=True); signal.pause()"
    with process.spawn(["sleep", "1000"]) as willing:
        pass
    with process.spawn([sys.executable, "-c", stubborn]) as child:
        child.read_line(10.0)
        assert child.terminate(grace_s=0.1) == -9

    assert willing.returncode() == -15
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


def test_programs_beside_each_other_do_not_harm_each_other() -> None:
    """One is missing, one fails, one takes too long, one is fed: each gets what it came to."""
    missing, failed, slow, fed = process.run_together(
        [
            Task(["ctherd-no-such-program"]),
            Task(["sh", "-c", "echo no >&2; exit 3"]),
            Task(["sleep", "60"]),
            Task(["sh", "-c", 'cat; printf "$WORD"'], "given ", {"WORD": "known"}),
        ],
        timeout_s=1.0,
    )
    assert isinstance(missing, ToolMissing)
    assert isinstance(failed, Completed)
    assert (failed.returncode, failed.stderr) == (3, "no\n")
    assert isinstance(slow, CommandFailed)
    assert isinstance(fed, Completed)
    assert (fed.returncode, fed.stdout) == (0, "given known")


def test_programs_beside_each_other_take_as_long_as_the_longest() -> None:
    """Neither waits for the other: each would wait for ever, were it not for the other's file."""
    with tempfile.TemporaryDirectory() as at:
        meet = 'touch "$1"; until test -e "$2"; do :; done'
        tasks = [
            Task(["sh", "-c", meet, "sh", f"{at}/{mine}", f"{at}/{other}"])
            for mine, other in (("a", "b"), ("b", "a"))
        ]
        ended = process.run_together(tasks, timeout_s=10.0)
    assert [each.returncode for each in ended if isinstance(each, Completed)] == [0, 0]
