"""Neutron's API on a Unix socket: ``api_server.py SOCKET``, configured by /etc/neutron."""

import sys

import waitress


def serve(path: str) -> None:
    # Neutron reads them, and stops at what it does not know.
    del sys.argv[1:]
    from neutron.wsgi.api import application

    waitress.serve(application, unix_socket=path, unix_socket_perms="666", threads=4)


if __name__ == "__main__":
    serve(sys.argv[1])
