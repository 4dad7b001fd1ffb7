"""A whole Neutron on a machine of its own: broker, database, API, RPC server and L3 agent."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

import httpx

from tests.openstack import configuration
from tests.openstack.configuration import HOST, Setup
from tests.openstack.machine import BIN, CHECKOUT, STATE, USER, Machine, Program

API_SOCKET: Final = f"{STATE}/api.sock"
DB_SOCKET: Final = f"{STATE}/db.sock"

# Its files are in memory: a log file of the usual size would be most of them.
_DB_SMALL: Final = (
    "--innodb-log-file-size=8M",
    "--innodb-buffer-pool-size=64M",
    "--innodb-flush-log-at-trx-commit=0",
)

_DB_CLIENT: Final = ("mariadb", "--no-defaults", f"--socket={DB_SOCKET}", "--user=root")

_BROKER_ENVIRONMENT: Final = {
    "HOME": f"{STATE}/rabbit",
    "RABBITMQ_NODENAME": "rabbit@localhost",
    # Other machines of the tests get here too, and nobody else does.
    "RABBITMQ_NODE_IP_ADDRESS": "0.0.0.0",
    "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-rabbit loopback_users []",
    "RABBITMQ_MNESIA_BASE": f"{STATE}/rabbit/mnesia",
    "RABBITMQ_LOG_BASE": f"{STATE}/rabbit/log",
    "RABBITMQ_ENABLED_PLUGINS_FILE": f"{STATE}/rabbit/enabled_plugins",
    "RABBITMQ_PID_FILE": f"{STATE}/rabbit/pid",
}


class Stack:
    """What runs, by name; ``api`` speaks to it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.programs: dict[str, Program] = {}
        self._setup: Setup | None = None
        transport = httpx.HTTPTransport(uds=str(machine.path(API_SOCKET)))
        self.api = httpx.Client(base_url="http://neutron", transport=transport, timeout=60.0)

    @classmethod
    @contextmanager
    def up(cls, logs: Path) -> Iterator[Self]:
        """Start everything but the agent; afterwards nothing of it is left."""
        with Machine.booted(logs) as machine:
            furnish(machine)
            machine.path(f"{STATE}/rabbit").mkdir()
            machine.run("chown", f"{USER}:", f"{STATE}/rabbit")
            configuration.install(machine)
            configuration.IN_TREE.install(machine)
            stack = cls(machine)
            with stack.api, stack._ended():
                stack._start_broker()
                stack._start_database()
                stack._start_servers()
                yield stack

    @contextmanager
    def _ended(self) -> Iterator[None]:
        """Afterwards no program runs; killed, because nothing of what they know is kept."""
        try:
            yield
        finally:
            for program in reversed(self.programs.values()):
                program.kill()

    def start(self, name: str, *argv: str, env: dict[str, str] | None = None) -> Program:
        self.programs[name] = self.machine.spawn(name, argv, env=env)
        return self.programs[name]

    def _start_broker(self) -> None:
        """Start RabbitMQ, also again after it was stopped; not yet ready, but it will be."""
        server = "/usr/lib/rabbitmq/bin/rabbitmq-server"
        self.start("broker", server, env=_BROKER_ENVIRONMENT)

    def _wait_for_broker(self) -> None:
        self._until("broker", lambda: self._listens(":5672"))

    @contextmanager
    def without_broker(self) -> Iterator[None]:
        """Have no RabbitMQ; afterwards, whatever happened meanwhile, it is there again."""
        self.programs["broker"].end()
        try:
            yield
        finally:
            self._start_broker()
            self._wait_for_broker()

    def run_agent(self, setup: Setup) -> None:
        """Have an L3 agent of this setup, started if another one or none runs."""
        agent = self.programs.get("l3-agent")
        if agent and agent.runs():
            if self._setup == setup:
                return
            agent.end()
        self._setup = setup
        setup.install(self.machine)
        self.start_agent()

    def start_agent(self) -> None:
        """Start the agent as it is configured; it has reported to the server when this returns."""
        before = self.heartbeat()
        self.launch_agent()
        self._until("l3-agent", lambda: self.heartbeat() != before)

    def launch_agent(self) -> None:
        """Start the agent as it is configured, whatever becomes of it."""
        self.start("l3-agent", *AGENT)

    @property
    def agent(self) -> Program:
        return self.programs["l3-agent"]

    def heartbeat(self, host: str = HOST) -> str | None:
        """Return when the agent of *host* was heard last, by the server's clock."""
        wanted = {"binary": "neutron-l3-agent", "host": host}
        agents = self.api.get("/v2.0/agents", params=wanted).json()
        return str(agents["agents"][0]["heartbeat_timestamp"]) if agents["agents"] else None

    def _start_database(self) -> None:
        where = f"--datadir={STATE}/db"
        login = "--auth-root-authentication-method=normal"
        install = ("mariadb-install-db", "--no-defaults", where, _DB_SMALL[0], login)
        self.machine.run(*install, "--skip-test-db", user=USER)
        listen = ("--bind-address=127.0.0.1", f"--socket={DB_SOCKET}", f"--pid-file={STATE}/db.pid")
        self.start("database", "mariadbd", "--no-defaults", where, *listen, *_DB_SMALL)
        self._until("database", lambda: self._listens(":3306"))
        self.machine.run(*_DB_CLIENT, "-e", "create database neutron character set utf8mb4")
        migrate = (f"{BIN}/neutron-db-manage", *_files(configuration.SERVER_FILES))
        done = self.machine.run(*migrate, "upgrade", "heads", user=USER, timeout_s=300.0)
        (self.machine.logs / "migration.log").write_text(done.output)

    def sql(self, statement: str) -> None:
        """Change the database behind Neutron's back."""
        self.machine.run(*_DB_CLIENT, "neutron", "-e", statement)

    def _start_servers(self) -> None:
        self._wait_for_broker()
        files = ";".join(configuration.SERVER_FILES)
        env = {"OS_NEUTRON_CONFIG_DIR": "/etc/neutron", "OS_NEUTRON_CONFIG_FILES": files}
        server = str(CHECKOUT / "tests/openstack/api_server.py")
        self.start("api", f"{BIN}/python", server, API_SOCKET, env=env)
        rpc = f"{BIN}/neutron-rpc-server"
        self.start("rpc-server", rpc, *_files(configuration.SERVER_FILES))
        self._until("api", lambda: self._listens(API_SOCKET))

    def _listens(self, where: str) -> bool:
        """Tell whether a TCP port, as ``:80``, or a Unix socket is listened at."""
        kind = "-Htl" if where.startswith(":") else "-Hxl"
        return bool(self.machine.run("ss", kind, "-n", "src", where).stdout.strip())

    def _until(self, name: str, holds: Callable[[], bool], within_s: float = 120.0) -> None:
        """Wait on a state that the program *name* brings about; its log says why it does not."""
        program, give_up_s = self.programs[name], time.monotonic() + within_s
        while not holds():
            alive = program.runs() and time.monotonic() < give_up_s
            assert alive, f"{name} is not up:\n{program.log.read_text()[-4000:]}"
            time.sleep(0.1)


def furnish(machine: Machine) -> None:
    """Make the directories in which Neutron's user keeps what it has."""
    machine.path(STATE).mkdir()
    for name in ("state", "state/lock"):
        machine.path(f"{STATE}/{name}").mkdir()
    machine.run("chown", "-R", f"{USER}:", STATE)


def _files(names: tuple[str, ...]) -> list[str]:
    return [f"--config-file=/etc/neutron/{name}" for name in names]


AGENT: Final = (f"{BIN}/neutron-l3-agent", *_files(configuration.AGENT_FILES))
