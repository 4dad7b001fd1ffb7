"""`ctherd key`: the keys that the server signs documents with, on the server's own host."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ctherd.cli.options import common, configured, output

if TYPE_CHECKING:
    from ctherd.signing.key_ring import KeyRing


@click.group()
def key() -> None:
    """Look after the keys that the server signs documents with."""


@key.command("list")
@output
@common
def list_keys(output: str) -> int:
    """List the server's keys, oldest first."""
    from ctherd.signing.key_file import KEY_FILE, load_ring

    _show(load_ring(_directory() / KEY_FILE), output)
    return 0


@key.command()
@common
def export() -> int:
    """Print the public keys, for agents to pin: `ctherd key export >server-keys.json`."""
    from ctherd.main.keys import exported

    click.echo(exported(_directory()))
    return 0


@key.command()
@output
@common
def announce(output: str) -> int:
    """Make a key that agents shall trust, and that signs nothing yet."""
    from ctherd.main import keys

    return _done(*keys.announce(_directory()), output)


@key.command()
@output
@common
def rotate(output: str) -> int:
    """Sign with the announced key, or a new one; the old one stays trusted."""
    from ctherd.main import keys

    return _done(*keys.rotate(_directory()), output)


@key.command()
@click.argument("key")
@click.option("--anyway", is_flag=True, help="Leave hosts behind that know no other key.")
@output
@common
def retire(key: str, anyway: bool, output: str) -> int:
    """Let no agent trust KEY any more.

    An agent that was away since before the rotation knows no other key: give it the keys anew.
    """
    from ctherd.main import keys
    from ctherd.signing.envelope import KeyId

    return _done(*keys.retire(_directory(), KeyId(key), anyway=anyway), output)


def _directory() -> Path:
    return configured().server.state_dir


def _done(ring: "KeyRing", published: bool, output: str) -> int:
    _show(ring, output)
    if not published:
        raise click.ClickException(
            "the running server has not taken the keys over yet: its log says why"
        )
    return 0


def _show(ring: "KeyRing", output: str) -> None:
    from ctherd.cli import render

    rows = [{"key": each.id, "state": each.state.value, "since": each.since} for each in ring.keys]
    if output == "json":
        render.as_json({"version": ring.version, "keys": rows})
    else:
        render.table(("key", "state", "since"), [tuple(row.values()) for row in rows])
