"""Commands for the server's own host: serve, and look after its files."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ctherd.cli.options import common, configured, own_table
from ctherd.errors import ConfigurationError

if TYPE_CHECKING:
    from ctherd.main.config import Config

_PATH = click.Path(path_type=Path)

listen = click.option("--listen", metavar="ADDRESS:PORT", help="Where to listen.")
identity = click.option(
    "--identity", type=click.Choice(["none", "tokens", "keystone"]), help="Who vouches for callers."
)


@click.command()
@listen
@identity
@common
def server(listen: str | None, identity: str | None) -> int:
    """Serve the REST API and the agents that follow, until told to end."""
    from ctherd.main.server import run_server

    def read() -> "Config":
        return _serving(configured(), listen, identity)

    return run_server(read(), read)


@click.command()
@listen
@identity
@own_table
@common
def up(listen: str | None, identity: str | None, own_table: bool | None) -> int:
    """Run a server and this machine's agent in one process, without any set-up."""
    from ctherd.main.up import run_up

    def read() -> "Config":
        return _serving(configured(own_table=own_table), listen, identity)

    return run_up(read(), read)


@click.group()
def policy() -> None:
    """Look into the server's policy."""


@policy.command()
def sample() -> int:
    """Print a policy.yaml that says every rule in comments, and changes none."""
    from ctherd.authz.policy import sample_policy

    click.echo(sample_policy())
    return 0


def _serving(config: "Config", listen: str | None, identity: str | None) -> "Config":
    from dataclasses import replace

    from ctherd.main.options import Wrong, any_port

    server = config.server
    if identity is not None:
        server = replace(server, identity=identity)
    if listen is not None:
        try:
            server = replace(server, listen=any_port(listen))
        except Wrong as wrong:
            raise ConfigurationError(f"--listen: {wrong.what}", cure=wrong.allowed) from wrong
    return replace(config, server=server)
