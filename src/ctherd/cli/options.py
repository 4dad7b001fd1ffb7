"""What several commands are given, and the configuration that comes of it."""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ctherd.main.config import Config

Command = Callable[..., Any]


def configured(**overrides: Any) -> "Config":
    """Read the configuration; options of the command line win."""
    from ctherd.main.config import load_config

    options = dict(click.get_current_context().find_root().obj)
    config = load_config(options.pop("config"))
    given = {**options, **overrides}
    for name in ("state_dir", "netns_dir", "file"):
        if given.get(name) is not None:
            given[name] = given[name].absolute()
    return replace(config, **{name: each for name, each in given.items() if each is not None})


def common(command: Command) -> Command:
    """Let a command be given the common options too: `ctherd plan --config F` reads better."""

    @click.option("--config", type=click.Path(path_type=Path), hidden=True)
    @click.option("--state-dir", type=click.Path(path_type=Path), hidden=True)
    @click.option("--netns-dir", type=click.Path(path_type=Path), hidden=True)
    @click.option("--log-format", type=click.Choice(["text", "json"]), hidden=True)
    @wraps(command)
    def with_common(**options: Any) -> Any:
        shared = click.get_current_context().find_root().obj
        for name in ("config", "state_dir", "netns_dir", "log_format"):
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
