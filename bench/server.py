"""A real ``ctherd server`` as a child process over an SQLite store, and a connection to its API."""

import http.client
import json
import re
import ssl
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench import scratch
from ctherd import process
from ctherd.authz.identity.token_file import TOKEN_FILE, Grant, create_token
from ctherd.lab.namespace import python
from ctherd.process import Child

_START_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Served:
    """A server at *port* of loopback, and the token of an administrator.

    Shape: *tls* trusts its certificate, None where it speaks plain HTTP.
    """

    child: Child
    port: int
    token: str
    tls: ssl.SSLContext | None = None

    def cpu_s(self) -> float:
        """Return the processor time that the server has used, all of its threads together.

        Source: linux/posix-timers.h, the clock of another process (MAKE_PROCESS_CPUCLOCK).
        """
        return time.clock_gettime(~self.child.pid << 3 | 2)


@contextmanager
def served(
    command: str = "server", *options: str, certificate: tuple[Path, Path] | None = None
) -> Iterator[Served]:
    """Have a server (or ``up``) with an empty store on disk; afterwards it has ended.

    Shape: *options* are those before the command; *certificate* and its key make it speak TLS.
    """
    with scratch.directory() as at:
        state = at / "server"
        state.mkdir(mode=0o700)
        token, _ = create_token(state / TOKEN_FILE, Grant("bench", "bench", ("admin",)))
        log = at / "log"
        config = at / "ctherd.toml"
        config.write_text(f'metrics = ""\n{_tls(certificate)}', encoding="ascii")
        common = (f"--config={config}", f"--state-dir={at}", *options)
        argv = python("ctherd", *common, command, "--listen=127.0.0.1:0")
        tls = ssl.create_default_context(cafile=certificate[0]) if certificate else None
        with process.spawn(argv, log=log) as child:
            yield Served(child, _port(child, log), token, tls)


def _tls(certificate: tuple[Path, Path] | None) -> str:
    if certificate is None:
        return ""
    return f'[server.tls]\ncertificate = "{certificate[0]}"\nkey = "{certificate[1]}"\n'


def _port(child: Child, log: Path) -> int:
    deadline_s = time.monotonic() + _START_S
    while time.monotonic() < deadline_s and child.returncode() is None:
        if found := re.search(r"serving at https?://127\.0\.0\.1:(\d+)", log.read_text()):
            return int(found[1])
        time.sleep(0.02)
    raise process.CommandFailed(f"the server does not serve: {log.read_text()}")


class Asker:
    """One connection that is kept open, as clients keep theirs."""

    def __init__(self, server: Served) -> None:
        if server.tls is None:
            self._http = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        else:
            self._http = http.client.HTTPSConnection(
                "127.0.0.1", server.port, timeout=30, context=server.tls
            )
        self._headers = {"X-Auth-Token": server.token, "Content-Type": "application/json"}

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return what the server answers, which is no error."""
        sent = None if body is None else json.dumps(body)
        self._http.request(method, path, sent, self._headers)
        answer = self._http.getresponse()
        said = answer.read()
        assert answer.status < 300, (answer.status, said)
        return json.loads(said) if said else None

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()


@contextmanager
def asker(server: Served) -> Iterator[Asker]:
    """Have a connection to *server*."""
    with closing(Asker(server)) as found:
        yield found
