"""How the log looks: text for people, or JSON, one object a line, for programs."""

import json
import logging
from collections.abc import Sequence
from typing import Final

from ctherd.main.config import Config

_GUESTS: Final = ("uvicorn", "keystonemiddleware", "keystoneauth", "oslo_policy", "asyncio")
"""Whose warnings are ours to tell, and whose chatter is not."""


_NO_REQUEST: Final = "-"


def set_up_log(config: Config, filters: Sequence[logging.Filter] = ()) -> None:
    """Log to standard error, as text for people or as JSON, one object a line.

    Shape: *filters* may give records the attribute ``request_id``, "-" for none.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if config.log_format == "json" else _Text())
    for each in filters:
        handler.addFilter(each)
    for name in _GUESTS:
        _use(name, handler, logging.WARNING)
    _use("ctherd", handler, logging.getLevelNamesMapping()[config.log_level.upper()])


def _use(name: str, handler: logging.Handler, level: int) -> None:
    logger = logging.getLogger(name)
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(level)


def _request(record: logging.LogRecord) -> str:
    request: str = getattr(record, "request_id", _NO_REQUEST)
    return "" if request == _NO_REQUEST else request


class _Text(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(request)s%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        request = _request(record)
        record.request = f"[{request}] " if request else ""
        return super().format(record)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request := _request(record):
            line["request_id"] = request
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)
