"""Asks a running agent over its control socket."""

import json
import socket
from pathlib import Path
from typing import Any, Final

from ctherd import errors
from ctherd.errors import CtherdError, RemoteProtocolError

CONTROL_SOCKET: Final = "control.sock"
_PATIENCE_S: Final = 120.0

_BY_CODE: Final = {
    each.code: each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, CtherdError) and each.code != "kernel"
}


def ask(state_dir: Path, request: dict[str, Any]) -> dict[str, Any] | None:
    """Return the agent's answer, or None if no agent serves *state_dir*.

    Shape: one JSON object on one line each way.
    Raises: whatever error the agent answers with; RemoteProtocolError if it breaks off.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as client:
        client.settimeout(_PATIENCE_S)
        try:
            client.connect(str(state_dir / CONTROL_SOCKET))
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            return None
        except OSError as error:
            raise out_of_reach(state_dir, error) from error
        try:
            client.sendall(line(request))
            answer = json.loads(client.makefile("rb").readline())
        except (OSError, ValueError) as error:
            raise broke_off(error) from error
    return meant(answer)


def line(request: dict[str, Any]) -> bytes:
    """Return *request* as it is sent."""
    return json.dumps(request).encode() + b"\n"


def meant(answer: dict[str, Any]) -> dict[str, Any]:
    """Return what *answer* says.

    Raises: the error that it says.
    """
    if "error" in answer:
        told = answer["error"]
        kind = _BY_CODE.get(told["code"], CtherdError)
        raise kind(told["what"], where=told["where"], cure=told["cure"])
    return dict(answer["answer"])


def out_of_reach(state_dir: Path, error: OSError) -> CtherdError:
    """Return the error that says that nobody can ask the agent."""
    return errors.Busy(
        f"the agent's control socket cannot be reached: {error}", where=str(state_dir)
    )


def broke_off(error: Exception) -> CtherdError:
    """Return the error that says that the agent gave no answer."""
    return RemoteProtocolError(f"the agent broke off: {error}")
