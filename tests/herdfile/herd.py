"""Herd files to write, and how a test reads what comes of them."""

import pytest

from ctherd.errors import InvalidDeclaration
from ctherd.herdfile.parse import parse_herd
from ctherd.model.document import Document

HEAD = "version: 1\nrouters:\n  - name: edge\n    netns: qrouter-1\n    helpers:\n"


FULL = """\
version: 1
routers:
  - name: edge                 # unique
    netns: qrouter-1
    helpers:
      - {helper: ftp, protocol: tcp, port: 21}
      - {helper: h323, protocol: tcp, port: 1720}
      - {helper: sip, protocol: udp, port: 5060, destinations: [203.0.113.0/24, "2001:db8::/64"]}
  - {name: core, netns: host, helpers: []}
"""


def parse(text: str | bytes) -> tuple[Document, ...]:
    return parse_herd(text, "herd.yaml").documents


def faults(text: str | bytes) -> list[str]:
    """Return the lines of the error that *text* makes."""
    with pytest.raises(InvalidDeclaration) as caught:
        parse_herd(text, "herd.yaml")
    return str(caught.value).splitlines()


def fault(text: str | bytes) -> str:
    """Return the only fault of *text*."""
    (line,) = faults(text)
    return line
