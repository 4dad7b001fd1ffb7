"""Commands and options; what they do is done elsewhere."""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from ctherd import __version__
from ctherd.errors import CtherdError, UnsafePlan

if TYPE_CHECKING:
    from ctherd.main.config import Config

WRONG_USAGE = 64
"""EX_USAGE of sysexits.h: 2 is taken, it means that a plan has changes."""
CHANGES = 2

Command = Callable[..., Any]


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
@click.pass_context
def cli(context: click.Context, /, **options: Any) -> None:
    """Keep the conntrack helpers of this host's routers exactly as declared."""
    context.obj = options


def _config(**overrides: Any) -> "Config":
    """Read the configuration; options of the command line win."""
    from ctherd.main.config import load_config

    options = dict(click.get_current_context().find_root().obj)
    config = load_config(options.pop("config"))
    given = {**options, **overrides}
    for name in ("state_dir", "netns_dir", "file"):
        if given.get(name) is not None:
            given[name] = given[name].absolute()
    return replace(config, **{name: each for name, each in given.items() if each is not None})


def _common(command: Command) -> Command:
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


def _agent_answer(config: "Config", request: dict[str, Any]) -> dict[str, Any] | None:
    """Ask the running agent, if there is one."""
    from ctherd.agent.client import ask

    return ask(config.state_dir, request)


@cli.command()
@herd_file
@output
@partial
@own_table
@_common
def plan(file: Path | None, output: str, partial: bool, own_table: bool | None) -> int:
    """Print what would change and why. Exit: 0 nothing, 2 changes, 1 error."""
    from ctherd.cli import render
    from ctherd.service.host import changes, worked

    config = _config(file=file, own_table=own_table)
    request = {"operation": "plan", "file": str(config.file), "partial": partial}
    answer = _agent_answer(config, request)
    if answer is None:
        from ctherd.herdfile.read import read_herd
        from ctherd.main.wiring import opened

        documents = read_herd(config.file).documents
        with opened(config, stays=False, changes=False) as host:
            answer = host.service.plan(documents, partial=partial)
    if output == "json":
        render.as_json(answer)
    else:
        render.changes(answer, done=False)
    if not worked(answer):
        return 1
    return CHANGES if changes(answer) else 0


@cli.command()
@herd_file
@output
@partial
@own_table
@click.option("--yes", is_flag=True, help="Remove even unusually much.")
@_common
def apply(file: Path | None, output: str, partial: bool, own_table: bool | None, yes: bool) -> int:
    """Make the file true. Exit: 0 all is, 1 with what could not be made true and why."""
    from ctherd.cli import render
    from ctherd.service.host import worked

    config = _config(file=file, own_table=own_table)
    try:
        answer = _apply(config, partial=partial, confirmed=yes)
    except UnsafePlan as unsafe:
        if not sys.stdin.isatty() or output == "json":
            raise
        click.confirm(f"{unsafe.what}. Remove them?", abort=True, err=True)
        answer = _apply(config, partial=partial, confirmed=True)
    if output == "json":
        render.as_json(answer)
    else:
        render.changes(answer, done=True)
    return 0 if worked(answer) else 1


def _apply(config: "Config", *, partial: bool, confirmed: bool) -> dict[str, Any]:
    request = {
        "operation": "apply",
        "file": str(config.file),
        "partial": partial,
        "confirmed": confirmed,
    }
    answer = _agent_answer(config, request)
    if answer is not None:
        return answer
    from ctherd.herdfile.read import read_herd
    from ctherd.main.wiring import opened

    documents = read_herd(config.file).documents
    with opened(config, stays=False) as host:
        return host.service.apply(documents, partial=partial, confirmed=confirmed)


@cli.command()
@click.argument("router", default="")
@herd_file
@output
@own_table
@_common
def show(router: str, file: Path | None, output: str, own_table: bool | None) -> int:
    """Show desired, managed and live side by side, with status and surroundings."""
    from ctherd.cli import render

    config = _config(file=file, own_table=own_table)
    answer = _agent_answer(config, {"operation": "show", "router": router})
    if answer is None:
        from ctherd.herdfile.read import read_herd
        from ctherd.main.wiring import opened

        documents = read_herd(config.file).documents if file or config.file.exists() else None
        with opened(config, stays=False, changes=False) as host:
            answer = host.service.look(documents, router)
    if output == "json":
        render.as_json(answer)
    else:
        render.show(answer)
    return 0


@cli.command()
@herd_file
@own_table
@_common
def agent(file: Path | None, own_table: bool | None) -> int:
    """Enforce the file until told to end (SIGTERM leaves the kernel as it is)."""
    from ctherd.main.agent import run_agent

    return run_agent(
        _config(file=file, own_table=own_table), lambda: _config(file=file, own_table=own_table)
    )


@cli.command()
@_common
def confirm() -> int:
    """Let the agent apply what it held back as unsafe."""
    answer = _agent_answer(_config(), {"operation": "confirm"})
    if answer is None:
        raise click.ClickException("no agent is running with this state directory")
    click.echo(answer["message"])
    return 0


@cli.command()
@herd_file
@output
@click.option("--yes", is_flag=True, help="Do it; without, only say what would be done.")
@_common
def reclaim(file: Path | None, output: str, yes: bool) -> int:
    """Take tables that bear a ctherd mark for ours again, after the journal was lost."""
    from ctherd.cli import render
    from ctherd.herdfile.read import read_herd
    from ctherd.main.reclaim import reclaim_tables
    from ctherd.main.wiring import opened

    config = _config(file=file)
    documents = read_herd(config.file).documents
    with opened(config, stays=False, changes=yes) as host:
        found = reclaim_tables(host, documents, really=yes)
    if output == "json":
        render.as_json(found)
    else:
        for each in found:
            click.echo(f"{each['router']} (netns {each['netns']}): {each['what']}")
        if not yes and any(each["tag"] for each in found):
            click.echo("nothing was recorded; repeat with --yes to take these tables for ours")
    return 0


@cli.command()
@output
@_common
def helpers(output: str) -> int:
    """List what this very kernel can do, found by creating each helper in a scratch netns."""
    from ctherd.cli import render
    from ctherd.main.helpers import kernel_helpers

    rows = kernel_helpers(_config().netns_dir)
    if output == "json":
        render.as_json(rows)
        return 0
    columns = ("helper", "aliases", "protocol", "families", "usual port", "risk", "remark")
    render.table(
        columns,
        [
            (
                row["helper"],
                ", ".join(row["aliases"]),
                row["protocol"],
                ", ".join(row["families"]) or row["refused"],
                ", ".join(map(str, row["usual_ports"])),
                row["risk"],
                row["remark"],
            )
            for row in rows
        ],
    )
    return 0


@cli.command()
@herd_file
@output
@_common
def doctor(file: Path | None, output: str) -> int:
    """Say why helpers do not work here, and what cures it."""
    from ctherd.cli import render
    from ctherd.doctor.diagnosis import as_data
    from ctherd.doctor.examine import examine
    from ctherd.herdfile.read import read_herd
    from ctherd.main.wiring import netns_directory

    config = _config(file=file)
    documents = read_herd(config.file).documents if file or config.file.exists() else ()
    found = examine(netns_directory(config.netns_dir), documents)
    if output == "json":
        render.as_json([as_data(each) for each in found])
    else:
        for each in found:
            colour = {"ok": "green", "note": "cyan"}.get(each.severity.value, "red")
            click.echo(click.style(f"{each.severity.value:8}", fg=colour) + str(each))
    return 1 if any(each.severity.is_wrong for each in found) else 0


@cli.command()
def demo() -> int:
    """Show the whole story on real traffic, in namespaces of its own."""
    from ctherd.lab.demo import run_demo

    return run_demo(sys.stdout)


@cli.command()
@click.option("--config", "which", flag_value="config", help="The configuration file's reference.")
@click.option("--herd", "which", flag_value="herd", default=True, help="The herd file's schema.")
def schema(which: str) -> int:
    """Print the JSON Schema of the herd file, for editors; or the configuration reference."""
    from ctherd.herdfile.schema import schema_text
    from ctherd.main.config import reference_text

    click.echo(reference_text() if which == "config" else schema_text())
    return 0


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> int:
    """Print the completion script for a shell."""
    from click.shell_completion import get_completion_class

    maker = get_completion_class(shell)
    if maker is None:
        raise click.ClickException(f"there is no completion for {shell}")
    click.echo(maker(cli, {}, "ctherd", "_CTHERD_COMPLETE").source())
    return 0
