"""Commands for this host: what is declared in a file, made true here."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ctherd.cli.options import common, configured, herd_file, output, own_table, partial
from ctherd.errors import UnsafePlan

if TYPE_CHECKING:
    from ctherd.main.config import Config

CHANGES = 2
"""The exit code of a plan that has changes."""


def _agent_answer(config: "Config", request: dict[str, Any]) -> dict[str, Any] | None:
    """Ask the running agent, if there is one."""
    from ctherd.agent.client import ask

    return ask(config.state_dir, request)


@click.command()
@herd_file
@output
@partial
@own_table
@common
def plan(file: Path | None, output: str, partial: bool, own_table: bool | None) -> int:
    """Print what would change and why. Exit: 0 nothing, 2 changes, 1 error."""
    from ctherd.cli import render
    from ctherd.service.host import changes, worked

    config = configured(file=file, own_table=own_table)
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


@click.command()
@herd_file
@output
@partial
@own_table
@click.option("--yes", is_flag=True, help="Remove even unusually much.")
@common
def apply(file: Path | None, output: str, partial: bool, own_table: bool | None, yes: bool) -> int:
    """Make the file true. Exit: 0 all is, 1 with what could not be made true and why."""
    from ctherd.cli import render
    from ctherd.service.host import worked

    config = configured(file=file, own_table=own_table)
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


@click.command()
@click.argument("router", default="")
@herd_file
@output
@own_table
@common
def show(router: str, file: Path | None, output: str, own_table: bool | None) -> int:
    """Show desired, managed and live side by side, with status and surroundings."""
    from ctherd.cli import render

    config = configured(file=file, own_table=own_table)
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


@click.command()
@herd_file
@own_table
@common
def agent(file: Path | None, own_table: bool | None) -> int:
    """Enforce the file until told to end (SIGTERM leaves the kernel as it is)."""
    from ctherd.main.agent import run_agent

    return run_agent(
        configured(file=file, own_table=own_table),
        lambda: configured(file=file, own_table=own_table),
    )


@click.command()
@common
def confirm() -> int:
    """Let the agent apply what it held back as unsafe."""
    answer = _agent_answer(configured(), {"operation": "confirm"})
    if answer is None:
        raise click.ClickException("no agent is running with this state directory")
    click.echo(answer["message"])
    return 0


@click.command()
@herd_file
@output
@click.option("--yes", is_flag=True, help="Do it; without, only say what would be done.")
@common
def reclaim(file: Path | None, output: str, yes: bool) -> int:
    """Take tables that bear a ctherd mark for ours again, after the journal was lost."""
    from ctherd.cli import render
    from ctherd.herdfile.read import read_herd
    from ctherd.main.reclaim import reclaim_tables
    from ctherd.main.wiring import opened

    config = configured(file=file)
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
