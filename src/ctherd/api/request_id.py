"""The id of a request: in every answer, in every line that is logged meanwhile, in the audit.

A client may send an id of its own; it is logged beside ours, never instead of it.
"""

import logging
import re
from contextvars import ContextVar
from typing import Final
from uuid import uuid4

HEADER: Final = b"x-openstack-request-id"
OURS: Final = "ctherd.request_id"
"""Where the scope has the id that we drew."""

_GLOBAL: Final = re.compile(rb"req-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

current: ContextVar[str] = ContextVar("request_id", default="-")
"""Our id of the request under way, and the client's after a blank, if it sent one."""


def draw() -> str:
    """Return a new id."""
    return f"req-{uuid4()}"


def global_id(sent: bytes | None) -> str:
    """Return the id that a client sent; "" if it sent none that is well-formed."""
    return sent.decode("ascii") if sent is not None and _GLOBAL.fullmatch(sent) else ""


class RequestIdFilter(logging.Filter):
    """Gives every log record the attribute ``request_id``."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let everything pass, with the id of the request that it belongs to."""
        record.request_id = current.get()
        return True
