"""A real Keystone, on loopback, over an SQLite file: a script that serves, and what starts it.

Run as a script: ``keystone_server.py DIRECTORY PORT`` (0: any). It sets Keystone up in the
directory if that is empty, says ``ready PORT`` on standard output, and serves until it is ended.
"""

import os
import socket
import socketserver
import subprocess
import sys
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from cryptography.fernet import Fernet

ADMIN_PASSWORD = "the-administrator"

CONFIG = """\
[database]
connection = sqlite:///{directory}/keystone.db
[fernet_tokens]
key_repository = {directory}/fernet
[fernet_receipts]
key_repository = {directory}/receipts
[credential]
key_repository = {directory}/credentials
[identity]
# The least that bcrypt knows: the passwords of these tests protect nothing.
password_hash_rounds = 4
"""


class Keystone:
    """Keystone in a process of its own; *directory* outlives it."""

    def __init__(self, directory: Path, port: int = 0) -> None:
        log = directory.parent / "keystone.log"
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(directory), str(port)],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        assert self._process.stdout is not None
        said = self._process.stdout.readline().split()
        assert said[:1] == ["ready"], log.read_text()
        self.port = int(said[1])
        self.url = f"http://127.0.0.1:{self.port}/v3"

    def stop(self) -> None:
        """End it; the port is refused from then on."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def take_over(self, other: "Keystone") -> None:
        """Stand for the process of *other* from now on, which serves the same directory."""
        assert self.url == other.url
        self._process = other._process


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64

    def server_bind(self) -> None:
        # Not HTTPServer's, which asks a name server who we are.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]
        self.setup_environ()


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def set_up(directory: Path, url: str) -> None:
    """Make the keys, the database and the administrator."""
    (directory / "keystone.conf").write_text(CONFIG.format(directory=directory))
    for name in ("fernet", "receipts", "credentials"):
        keys = directory / name
        keys.mkdir(mode=0o700)
        # As `keystone-manage fernet_setup` does, which only root may use.
        for key in "01":
            (keys / key).write_bytes(Fernet.generate_key())
    urls = [f"--bootstrap-{which}-url={url}" for which in ("admin", "public", "internal")]
    for command in (["db_sync"], ["bootstrap", f"--bootstrap-password={ADMIN_PASSWORD}", *urls]):
        program = Path(sys.executable).with_name("keystone-manage")
        config = f"--config-file={directory}/keystone.conf"
        subprocess.run([program, config, *command], check=True, stdout=sys.stderr)


def serve(directory: Path, port: int) -> None:
    """Serve until the process is ended."""
    with _Server(("127.0.0.1", port), _Quiet) as server:
        port = server.server_address[1]
        if not (directory / "keystone.conf").exists():
            set_up(directory, f"http://127.0.0.1:{port}/v3")
        os.environ["OS_KEYSTONE_CONFIG_FILES"] = str(directory / "keystone.conf")
        del sys.argv[1:]  # Keystone would read them, and stop at what it does not know.
        from keystone.server.wsgi import initialize_public_application

        server.set_app(initialize_public_application())
        os.write(1, f"ready {port}\n".encode())
        server.serve_forever()


def silent_server() -> socket.socket:
    """Return a listening socket of a Keystone that never answers."""
    return socket.create_server(("127.0.0.1", 0))


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
