"""A small router on the real kernel, and a doctor for it."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ctherd import process
from ctherd.doctor.diagnosis import Diagnosis, Severity
from ctherd.doctor.examine import examine
from ctherd.lab.cleanup import namespaces
from ctherd.lab.namespace import NETNS_DIR, Namespace
from ctherd.model.assignment import Assignment, AssignmentId
from ctherd.model.catalog import Protocol
from ctherd.model.document import Document, document
from ctherd.netns.directory import NetnsDirectory


def declare(netns: str, *assignments: tuple[str, str, int]) -> Document:
    """Return the document of router ``edge``, with (helper, protocol, port) each."""
    return document(
        "edge",
        netns,
        [
            Assignment(AssignmentId(f"{helper}-{port}"), helper, Protocol(protocol), port)
            for helper, protocol, port in assignments
        ],
    )


@dataclass(frozen=True)
class Router:
    """A healthy router: one interface that is up and has an address, forwarding is on."""

    netns: Namespace

    def examine(self, *assignments: tuple[str, str, int], **options: object) -> list[Diagnosis]:
        """What the doctor says of this router alone."""
        declared = declare(self.netns.name, *(assignments or [("ftp", "tcp", 21)]))
        said = examine(NetnsDirectory(NETNS_DIR), [declared], **options)  # type: ignore[arg-type]
        return [each for each in said if each.subject.router]

    def wrong(self, *assignments: tuple[str, str, int], **options: object) -> list[Diagnosis]:
        """What of it is a warning or an error."""
        return [each for each in self.examine(*assignments, **options) if each.severity.is_wrong]

    def notes(self, *assignments: tuple[str, str, int], **options: object) -> list[Diagnosis]:
        """What of it is a note."""
        said = self.examine(*assignments, **options)
        return [each for each in said if each.severity is Severity.NOTE]

    def take(self, cure: str) -> None:
        """Run a cure, as one would paste it into a shell of this host."""
        process.run(["sh", "-c", cure])


@pytest.fixture
def bare_netns() -> Iterator[Namespace]:
    """A fresh namespace, ``ctest-<12 hex>``, with its loopback down."""
    name = f"ctest-{secrets.token_hex(6)}"
    with namespaces([name]):
        yield Namespace(name)


@pytest.fixture
def router(bare_netns: Namespace) -> Router:
    """A healthy router."""
    commands = (
        "link add wan type veth peer name far\nlink set wan up\naddress add 192.0.2.1/24 dev wan"
    )
    bare_netns.run(["ip", "-batch", "-"], input=commands)
    bare_netns.set_sysctl("ipv4/ip_forward", 1)
    return Router(bare_netns)


@pytest.fixture
def fake_proc(tmp_path: Path) -> Path:
    """A /proc that says nothing yet."""
    path = tmp_path / "proc"
    path.mkdir()
    return path
