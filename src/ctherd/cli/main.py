"""The command line: its commands, its exit codes, and how it ends."""

import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from ctherd import __version__
from ctherd.cli import (
    audit,
    host,
    keys,
    lab,
    leaving,
    server,
    store,
    tokens,
    tools,
    top,
    verify,
    watch,
)
from ctherd.cli.options import DATAPLANES
from ctherd.errors import CtherdError

WRONG_USAGE = 64
"""EX_USAGE of sysexits.h: 2 is taken, it means that a plan has changes."""


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    try:
        code = cli.main(standalone_mode=False, prog_name="ctherd")
    except click.UsageError as error:
        error.show()
        sys.exit(WRONG_USAGE)
    except click.ClickException as error:
        error.show()
        sys.exit(1)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except CtherdError as error:
        click.echo(f"ctherd: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    sys.exit(code or 0)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="ctherd")
@click.option("--config", type=click.Path(path_type=Path), help="Configuration file (TOML).")
@click.option("--state-dir", type=click.Path(path_type=Path), help="Where the journal lies.")
@click.option("--netns-dir", type=click.Path(path_type=Path), help="Where namespaces have names.")
@click.option("--log-format", type=click.Choice(["text", "json"]), help="How the log looks.")
@click.option("--dataplane", type=click.Choice(DATAPLANES), help="What makes assignments true.")
@click.pass_context
def cli(context: click.Context, /, **options: Any) -> None:
    """Keep the conntrack helpers of this host's routers exactly as declared."""
    context.obj = options


for command in (
    host.plan,
    host.apply,
    host.show,
    host.agent,
    host.confirm,
    host.adopt,
    host.reclaim,
    verify.verify,
    leaving.uninstall,
    leaving.migrate,
    server.server,
    server.up,
    server.policy,
    tokens.token,
    keys.key,
    audit.audit,
    watch.watch,
    top.top,
    store.backup,
    store.restore,
    tools.helpers,
    tools.doctor,
    tools.demo,
    lab.lab,
    tools.schema,
    tools.completion,
):
    cli.add_command(command)
