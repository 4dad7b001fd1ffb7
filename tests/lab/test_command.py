"""`ctherd lab` as a user has it: what it prints, how it exits, and what it leaves: nothing."""

import json
import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from ctherd import process
from ctherd.demo.command_line import CTHERD
from ctherd.lab.catalog import CASES
from ctherd.lab.namespace import NETNS_DIR
from ctherd.process import Child, Completed
from tests.kernel.host import becomes

WRONG_USAGE = 64


def lab(*words: str) -> Completed:
    return process.run([*CTHERD, "lab", *words], timeout_s=100.0, check=False)


@pytest.mark.root
@pytest.mark.slow
def test_json_holds_the_evidence_of_each_phase() -> None:
    """Kernel, versions, and per case and phase what was seen; the exit code says it is proven."""
    ended = lab("tftp", "--dataplane", "both", "-o", "json")
    answer = json.loads(ended.stdout)
    assert ended.returncode == 0, ended.output
    assert answer["kernel"]["release"] == os.uname().release
    assert answer["counts"] == {"proven": 4, "not proven": 0, "skipped": 0}
    assert {each["dataplane"].partition("-")[0] for each in answer["cases"]} == {
        "nftables",
        "iptables",
    }
    for each in answer["cases"]:
        assert each["versions"]["in.tftpd"].startswith("5.")
        phases = each["phases"]
        assert [phases[name]["exchange"] for name in ("off", "on", "revoked")] == [
            "failed",
            "worked",
            "failed",
        ]
        assert all(seen["control_alive"] for seen in phases.values())
        assert phases["on"]["expectations_announced"] > 0
        assert phases["on"]["words"] == "100000 bytes"
        assert [paid["flows"] for paid in each["revoked"]] == [1]


@pytest.mark.root
def test_a_table_says_the_same_to_people() -> None:
    """A row for each exchange, its verdict, and in the last line the sum and the kernel."""
    ended = lab("ftp")
    assert ended.returncode == 0, ended.output
    *_, last = ended.stdout.splitlines()
    assert last.startswith(f"4 proven on Linux {os.uname().release}, in ")
    rows = [line for line in ended.stdout.splitlines() if "│ ftp " in line]
    assert len(rows) == 4
    assert all("proven" in row and "vsftpd 3." in row for row in rows)


@pytest.mark.root
def test_what_is_not_installed_is_skipped_loudly() -> None:
    """It is named with its package, and the exit code says that not everything is proven."""
    hide_vsftpd = 'mount --bind /dev/null "$(command -v vsftpd)" && exec "$@"'
    hidden = ["unshare", "--mount", "sh", "-c", hide_vsftpd, "sh"]
    ended = process.run([*hidden, *CTHERD, "lab", "ftp"], check=False)
    assert ended.returncode == 1
    assert "4 skipped" in ended.stdout
    assert ended.stdout.count("vsftpd not installed (apt install vsftpd)") == 4


def test_the_list_needs_no_root_and_runs_nothing() -> None:
    """Every case is listed with its helper, its control port and its software."""
    listed = json.loads(lab("--list", "-o", "json").stdout)
    assert [each["case"] for each in listed] == [each.name for each in CASES]
    assert all(each["software"] for each in listed)
    table = lab("--list", "tftp").stdout
    assert "tftp, IPv6" in table
    assert "ftp active" not in table


def test_an_unknown_helper_is_an_error_that_names_the_known_ones() -> None:
    """Nothing runs, even if other names are right."""
    ended = lab("ftp", "no-such-helper")
    assert ended.returncode == 1
    assert "the lab has no case for 'no-such-helper' (it has ftp, tftp" in ended.stderr
    assert ended.stdout == ""


def test_an_unknown_dataplane_is_wrong_usage() -> None:
    """The choices are named."""
    ended = lab("--dataplane", "ipfw")
    assert ended.returncode == WRONG_USAGE
    assert "'both'" in ended.stderr


@pytest.mark.root
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_an_interrupt_leaves_no_namespace_and_no_process(number: int, code: int) -> None:
    """Told to end while servers run, it ends them, takes its namespaces down, and says how."""
    with process.spawn([*CTHERD, "lab", "ftp", "tftp"]) as running:
        assert becomes(lambda: _is_running(running, "vsftpd")), running.complaints()
        with _watched(running) as (processes, prefixes):
            running.signal(number)
            assert running.wait(30.0) == code, running.complaints()
            assert prefixes
            assert not [each for prefix in prefixes for each in NETNS_DIR.glob(f"{prefix}-*")]
            for pidfd in processes:
                assert select.select([pidfd], [], [], 10.0)[0], "a process is left"


def _is_running(lab: Child, program: str) -> bool:
    return any(_comm(pid) == program for pid in _children(lab.pid))


@contextmanager
def _watched(lab: Child) -> Iterator[tuple[list[int], set[str]]]:
    """Yield its children, as pidfds, and the prefixes of the topologies that they are in."""
    pidfds: list[int] = []
    inodes: set[int] = set()
    for pid in _children(lab.pid):
        with suppress(ProcessLookupError, FileNotFoundError):  # it has ended by itself
            pidfds.append(os.pidfd_open(pid))
            inodes.add(Path(f"/proc/{pid}/ns/net").stat().st_ino)
    try:
        yield pidfds, {name.rpartition("-")[0] for name in _names_of(inodes)}
    finally:
        for each in pidfds:
            os.close(each)


def _names_of(inodes: set[int]) -> Iterator[str]:
    for each in NETNS_DIR.glob("cthlab-*"):
        with suppress(FileNotFoundError):  # another test's
            if each.stat().st_ino in inodes:
                yield each.name


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def _comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
