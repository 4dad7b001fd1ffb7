"""The demo tells the truth: it fails loudly, says where, and leaves nothing behind."""

import io
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctherd.lab import kernel
from ctherd.lab.cleanup import namespaces
from ctherd.lab.demo import run_demo
from ctherd.lab.namespace import NETNS_DIR, Namespace
from ctherd.lab.witness import Watch, table
from ctherd.model.catalog import Protocol
from ctherd.netns.enter import unshared

BROKEN = [sys.executable, "-c", "import sys; print('it broke'); sys.exit(3)"]


@pytest.fixture
def netns() -> Iterator[Namespace]:
    """One fresh namespace."""
    name = f"ctest-{secrets.token_hex(6)}"
    with namespaces([name]):
        yield Namespace(name)


@pytest.mark.root
@pytest.mark.slow
def test_a_failing_step_fails_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that does not do what it must ends the demo with 1, the step and its words."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    out = io.StringIO()

    assert run_demo(out, BROKEN) == 1

    told = out.getvalue()
    assert "FAILED at step 3" in told
    assert "exited with 3, where 2 was expected: it broke" in told
    assert set(re.findall(r"cthlab-\w+-\w+", told)).isdisjoint(os.listdir(NETNS_DIR))
    assert list(tmp_path.iterdir()) == []


def test_the_demo_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without root the demo says so in plain text, and exits with 1."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    out = io.StringIO()

    assert run_demo(out) == 1
    assert "needs root" in out.getvalue()
    assert "\x1b" not in out.getvalue()


@pytest.mark.root
def test_the_kernel_is_asked_for_helpers() -> None:
    """The kernel makes ftp on tcp; h323, which is no kernel name, it refuses."""
    with unshared() as netns_fd:
        assert kernel.accepted("ftp", Protocol.TCP, netns_fd)
        assert not kernel.accepted("h323", Protocol.TCP, netns_fd)


@pytest.mark.root
def test_a_watch_sees_every_coming_and_going(netns: Namespace) -> None:
    """Each addition and deletion of the table is seen, in order, and nothing else is."""
    with Watch.of(netns) as watch:
        netns.nft("add table inet ctherd")
        assert watch.next().added
        netns.nft("add table inet other")
        netns.nft("delete table inet ctherd; create table inet ctherd; add table ip ctherd")

        assert [event.added for event in watch.so_far(netns)] == [False, True]
        assert watch.so_far(netns) == []


@pytest.mark.root
def test_a_table_made_anew_has_other_handles(netns: Namespace) -> None:
    """Two tables with the same content are told apart by the kernel's handles."""
    ruleset = "table inet ctherd {\n chain output {\n }\n}\n"
    assert table(netns) is None
    netns.nft(ruleset)
    first = table(netns)
    netns.nft(f"delete table inet ctherd\n{ruleset}")
    second = table(netns)

    assert first is not None
    assert second is not None
    assert first.lines == second.lines
    assert first.handles != second.handles
