"""What several commands are given, and the configuration that comes of it."""

import os
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ctherd.client.access import Asked
    from ctherd.client.connection import Connection
    from ctherd.main.config import Config

Command = Callable[..., Any]

DATAPLANES = ("auto", "nftables", "iptables-nft", "iptables-legacy")
"""As main.config knows them, which takes longer to import than most commands run."""


def configured(**overrides: Any) -> "Config":
    """Read the configuration; options of the command line win."""
    from ctherd.main.config import load_config

    options = dict(click.get_current_context().find_root().obj)
    config = load_config(options.pop("config"))
    given = {**options, **overrides}
    for name in ("state_dir", "netns_dir", "file"):
        if given.get(name) is not None:
            given[name] = given[name].absolute()
    given = {name: each for name, each in given.items() if each is not None}
    if "state_dir" in given:
        given["server"] = replace(config.server, state_dir=given["state_dir"] / "server")
    return replace(config, **given)


def common(command: Command) -> Command:
    """Let a command be given the common options too: `ctherd plan --config F` reads better."""

    @click.option("--config", type=click.Path(path_type=Path), hidden=True)
    @click.option("--state-dir", type=click.Path(path_type=Path), hidden=True)
    @click.option("--netns-dir", type=click.Path(path_type=Path), hidden=True)
    @click.option("--log-format", type=click.Choice(["text", "json"]), hidden=True)
    @click.option("--dataplane", type=click.Choice(DATAPLANES), hidden=True)
    @wraps(command)
    def with_common(**options: Any) -> Any:
        shared = click.get_current_context().find_root().obj
        for name in ("config", "state_dir", "netns_dir", "log_format", "dataplane"):
            shared[name] = options.pop(name) or shared[name]
        return command(**options)

    return with_common


herd_file = click.option(
    "-f", "--file", type=click.Path(path_type=Path), help="The herd file (default: configured)."
)
output = click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Text or JSON."
)
own_table = click.option(
    "--own-table/--no-own-table", default=None, help="Let the kernel guard our table."
)
partial = click.option("--partial", is_flag=True, help="Leave routers that the file omits.")


def of_server(command: Command) -> Command:
    """Let a command be told which server it shall ask, as its parameter *asked*."""

    @click.option("--server", "url", metavar="URL", help="The server's root URL.")
    @click.option(
        "--token-file", type=click.Path(path_type=Path), help="A file that holds our token."
    )
    @click.option(
        "--ca",
        type=click.Path(path_type=Path),
        help="Who may vouch for the server (default: the system's).",
    )
    @wraps(command)
    def with_server(
        url: str | None, token_file: Path | None, ca: Path | None, **options: Any
    ) -> Any:
        from ctherd.client.access import Asked

        return command(asked=Asked(url, token_file, ca), **options)

    return with_server


def names_server(asked: "Asked") -> bool:
    """Tell whether somebody said that a server is meant, and not this host."""
    return bool(asked.url or os.environ.get("CTHERD_SERVER"))


def connected(asked: "Asked", config: "Config") -> "Connection":
    """Return a connection to the server that is meant.

    Raises: ConfigurationError.
    """
    from ctherd.client.access import find_access
    from ctherd.client.connection import Connection

    return Connection(find_access(asked, os.environ, config.server.state_dir))
