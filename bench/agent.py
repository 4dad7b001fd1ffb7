"""A real ``ctherd agent`` as a child process, enforcing a herd file over namespaces of ours."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench import scratch
from ctherd import process
from ctherd.lab.namespace import python
from ctherd.model.document import Document
from ctherd.process import Child


@contextmanager
def running(netns_dir: Path, documents: Sequence[Document], *, own_table: bool) -> Iterator[Child]:
    """Have an agent at work on *documents*; afterwards it has ended."""
    with scratch.directory() as state:
        (state / "herd.yaml").write_text(herd_file(documents), encoding="ascii")
        (state / "ctherd.toml").write_text(
            f'own_table = {str(own_table).lower()}\nmetrics = ""\n', encoding="ascii"
        )
        argv = python(
            "ctherd",
            f"--config={state / 'ctherd.toml'}",
            f"--state-dir={state / 'state'}",
            f"--netns-dir={netns_dir}",
            "agent",
            f"--file={state / 'herd.yaml'}",
        )
        with process.spawn(argv, log=state / "log") as agent:
            yield agent


def herd_file(documents: Sequence[Document]) -> str:
    """Return *documents* as a herd file; JSON is YAML."""
    routers = [
        {
            "name": document.router,
            "netns": document.netns,
            "helpers": [
                {"helper": each.helper, "protocol": each.protocol, "port": each.port}
                for each in document.assignments.values()
            ],
        }
        for document in documents
    ]
    return json.dumps({"version": 1, "routers": routers})


def still_runs(agent: Child) -> None:
    """Raise what the agent complained of if it has ended."""
    if agent.returncode() is not None:
        raise process.CommandFailed(f"the agent ended: {agent.complaints()}")


def wait_idle(agent: Child, quiet_s: float = 1.0, timeout_s: float = 60.0) -> None:
    """Wait until the agent has used no processor time for a while: it has nothing left to do."""
    deadline_s = time.monotonic() + timeout_s
    used, since_s = -1, time.monotonic()
    while time.monotonic() - since_s < quiet_s:
        still_runs(agent)
        if time.monotonic() > deadline_s:
            raise process.CommandFailed("the agent does not come to rest")
        now = _ticks(agent.pid)
        if now != used:
            used, since_s = now, time.monotonic()
        time.sleep(0.02)


def _ticks(pid: int) -> int:
    # After the name in parentheses, which may hold anything: utime and stime are fields 14 and 15.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
