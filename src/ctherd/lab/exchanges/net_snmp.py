"""SNMP with net-snmp's programs: requests by snmpset and snmpget to snmpd, traps to snmptrapd.

Each run of a program sends from the same port, so that all of a session is one flow to the router.
Nothing of the system's configuration is read, and nothing is kept beyond the session.
"""

import re
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from ctherd.lab.case import REPLY_S, Program, Session
from ctherd.lab.exchanges.snmp_message import COLD_START, COMMUNITY, PLAYPEN, TRAP_ADDRESS
from ctherd.lab.rewriting import as_heard
from ctherd.lab.serving import serving
from ctherd.lab.topology import Station
from ctherd.model.catalog import Protocol
from ctherd.process import Child, CommandFailed

SNMPD: Final = Program("snmpd", "snmpd")
SNMPSET: Final = Program("snmpset", "snmp")
SNMPTRAP: Final = Program("snmptrap", "snmp")
SNMPTRAPD: Final = Program("snmptrapd", "snmptrapd")

_SNMPGET: Final = Program("snmpget", "snmp")

# snmpd asks it for the value (-g), and tells it the one that is set (-s), which it keeps.
_KEEPER: Final = """
case "$1" in
-s) echo "$4" >{value} ;;
-g) echo "$2"; echo ipaddress; cat {value} ;;
esac
"""

_HEARD: Final = re.compile(rf"\[([0-9.]+)\]:\d+->.*\.{re.escape(TRAP_ADDRESS)} = ([0-9.]+)")


@dataclass(frozen=True, slots=True)
class _Programs:
    """net-snmp's programs at *client*, which speak to an agent or to who waits for traps."""

    client: Station
    to: str
    source_port: int
    environment: Mapping[str, str]

    def run(self, program: Program, *arguments: str) -> None:
        """Run one of them.

        Raises: CommandFailed if it does not succeed, as without an answer.
        """
        source = f"{self.client.v4}:{self.source_port}"
        options = ("-v2c", "-c", COMMUNITY, "-t", f"{REPLY_S:g}", "-r", "0")
        same_port = (f"--clientaddr={source}", "--clientaddrUsesPort=yes")
        command = [program.path, *options, *same_port, self.to, *arguments]
        self.client.run(command, env=self.environment, timeout_s=2 * REPLY_S)


@contextmanager
def requests(
    client: Station, server: Station, port: int, *, seen_as: IPv4Address
) -> Iterator[Session]:
    """Have snmpd at *server*, which knows *client* as *seen_as*.

    Raises: CtherdError if that is not possible.
    """
    with _directory() as place:
        keeper, value = place / "keeper", place / "value"
        keeper.write_text(_KEEPER.format(value=value), encoding="ascii")
        value.write_text("0.0.0.0\n", encoding="ascii")
        tree = PLAYPEN.removesuffix(".1.0")
        configuration = f"rwcommunity {COMMUNITY}\npass .{tree} /bin/sh {keeper}\n"
        with _daemon(SNMPD, place, configuration, server, port, "-I", "pass"):
            programs = _programs(client, server, port, place)
            yield _Requests(programs, value, str(client.v4), str(seen_as))


class _Requests:
    """What snmpset told snmpd, as what keeps its values was told."""

    def __init__(self, programs: _Programs, value: Path, own: str, seen_as: str) -> None:
        self._programs, self._value = programs, value
        self._own, self._seen_as = own, seen_as

    def exchange(self) -> str:
        """Set a variable of the agent to the client's address."""
        self._programs.run(SNMPSET, PLAYPEN, "a", self._own)
        return as_heard([self._value.read_text(encoding="ascii").strip()], self._seen_as)

    def alive(self) -> bool:
        """Tell whether the agent answers."""
        try:
            self._programs.run(_SNMPGET, PLAYPEN)
        except CommandFailed:
            return False
        return True


@contextmanager
def traps(client: Station, server: Station, port: int) -> Iterator[Session]:
    """Have snmptrapd at *server*.

    Raises: CtherdError if that is not possible.
    """
    # A line for each trap: whom it came from, and what it says.
    configuration = f"authCommunity log {COMMUNITY}\nformat2 %b %v\\n\n"
    with (
        _directory() as place,
        _daemon(SNMPTRAPD, place, configuration, server, port, "-n", "-OnQ") as listener,
    ):
        yield _Traps(_programs(client, server, port, place), listener, str(client.v4))


class _Traps:
    """What snmptrap sent, as snmptrapd writes it down."""

    def __init__(self, programs: _Programs, listener: Child, own: str) -> None:
        self._programs, self._listener, self._own = programs, listener, own

    def exchange(self) -> str:
        """Send a trap that names the client's address."""
        heard, told = self._trap()
        return as_heard([told], heard)

    def alive(self) -> bool:
        """Tell whether a trap arrives, whatever it names."""
        try:
            return bool(self._trap())
        except CommandFailed:
            return False

    def _trap(self) -> tuple[str, str]:
        self._programs.run(SNMPTRAP, "", COLD_START, TRAP_ADDRESS, "a", self._own)
        # It says its version first.
        while not (found := _HEARD.search(self._listener.read_line(REPLY_S))):
            pass
        heard, told = found.groups()
        return heard, told


@contextmanager
def _directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ctherd-lab-") as directory:
        yield Path(directory)


@contextmanager
def _daemon(
    program: Program, place: Path, configuration: str, server: Station, port: int, *options: str
) -> Iterator[Child]:
    path = place / "daemon.conf"
    path.write_text(configuration, encoding="ascii")
    to = f"udp:{server.v4}:{port}"
    command = [program.path, "-f", "-Lo", "-C", "-c", str(path), *options, to]
    with serving(server, command, Protocol.UDP, port, env=_environment(place)) as child:
        yield child


def _programs(client: Station, server: Station, port: int, place: Path) -> _Programs:
    source_port = 20_000 + secrets.randbelow(10_000)
    return _Programs(client, f"udp:{server.v4}:{port}", source_port, _environment(place))


def _environment(place: Path) -> Mapping[str, str]:
    return {"SNMPCONFPATH": str(place), "SNMP_PERSISTENT_DIR": str(place / "kept"), "MIBS": ""}
