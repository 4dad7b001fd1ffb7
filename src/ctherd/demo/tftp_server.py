"""A real TFTP server, to be run as ``python -m ctherd.demo.tftp_server ROOT PORT HOST``."""

import logging
import sys
import threading
from ipaddress import ip_address

import tftpy

from ctherd.demo.lifeline import announce, end_with_stdin
from ctherd.demo.tftp_family import speak_ipv6


def main(root: str, port: str, host: str) -> None:
    """Serve the files below *root* to everybody on *host*, until stdin ends."""
    logging.basicConfig(level=logging.ERROR)
    end_with_stdin()
    if ip_address(host).version == 6:
        speak_ipv6()
    server = tftpy.TftpServer(root)
    threading.Thread(target=_announce_when_bound, args=(server,), daemon=True).start()
    server.listen(host, int(port))


def _announce_when_bound(server: tftpy.TftpServer) -> None:
    server.is_running.wait()
    announce()


if __name__ == "__main__":
    main(*sys.argv[1:])
