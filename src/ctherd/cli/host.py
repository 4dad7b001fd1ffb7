"""Commands for this host: what is declared in a file, made true here."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ctherd.cli.options import (
    common,
    configured,
    herd_file,
    names_server,
    of_server,
    output,
    own_table,
    partial,
)
from ctherd.cli.progress import progress
from ctherd.errors import UnsafePlan

if TYPE_CHECKING:
    from ctherd.agent.source import Source
    from ctherd.client.access import Asked
    from ctherd.main.config import Config
    from ctherd.main.server_config import FollowOptions
    from ctherd.main.wiring import Host

_PATH = click.Path(path_type=Path)

the_host = click.option(
    "--host", default="", help="With --server: the host of routers that name none (default: this)."
)

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
@the_host
@of_server
@common
def plan(
    file: Path | None,
    output: str,
    partial: bool,
    own_table: bool | None,
    host: str,
    asked: "Asked",
) -> int:
    """Print what would change and why. Exit: 0 nothing, 2 changes, 1 error."""
    from ctherd.cli import remote, render
    from ctherd.service.host_answers import changes, worked

    config = configured(file=file, own_table=own_table)
    if names_server(asked):
        answer = remote.plan(config, asked, host, partial=partial)
    else:
        answer = _plan(config, file, partial=partial)
    if output == "json":
        render.as_json(answer)
    else:
        render.changes(answer, done=False)
    if not worked(answer):
        return 1
    return CHANGES if changes(answer) else 0


def _plan(config: "Config", file: Path | None, *, partial: bool) -> dict[str, Any]:
    with progress("planning") as shown:
        request = {"operation": "plan", "file": _named(file), "partial": partial}
        answer = _agent_answer(config, request)
        if answer is not None:
            return answer
        from ctherd.herdfile.read import read_herd
        from ctherd.main.wiring import opened

        documents = read_herd(config.file).documents
        with opened(config, stays=False, changes=False) as host:
            return host.service.plan(documents, partial=partial, tell=shown.tell)


def _named(file: Path | None) -> str:
    """Return the file that the agent is asked about; "" is its own."""
    return str(file.absolute()) if file else ""


@click.command()
@herd_file
@output
@partial
@own_table
@click.option("--yes", is_flag=True, help="Remove even unusually much.")
@click.option(
    "--wait", type=click.FloatRange(0), default=0.0, help="With --server: seconds for its agents."
)
@the_host
@of_server
@common
def apply(
    file: Path | None,
    output: str,
    partial: bool,
    own_table: bool | None,
    yes: bool,
    wait: float,
    host: str,
    asked: "Asked",
) -> int:
    """Make the file true. Exit: 0 all is, 1 with what could not be made true and why."""
    from ctherd.cli import remote, render
    from ctherd.service.host_answers import worked

    config = configured(file=file, own_table=own_table)

    def attempt(*, confirmed: bool) -> dict[str, Any]:
        if names_server(asked):
            return remote.apply(
                config, asked, host, partial=partial, confirmed=confirmed, wait_s=wait
            )
        return _apply(config, file, partial=partial, confirmed=confirmed)

    try:
        answer = attempt(confirmed=yes)
    except UnsafePlan as unsafe:
        if not sys.stdin.isatty() or output == "json":
            raise
        click.confirm(f"{unsafe.what}. Remove them?", abort=True, err=True)
        answer = attempt(confirmed=True)
    if output == "json":
        render.as_json(answer)
    else:
        render.changes(answer, done=True)
    return 0 if worked(answer) else 1


def _apply(
    config: "Config", file: Path | None, *, partial: bool, confirmed: bool
) -> dict[str, Any]:
    request = {
        "operation": "apply",
        "file": _named(file),
        "partial": partial,
        "confirmed": confirmed,
    }
    with progress("applying") as shown:
        answer = _agent_answer(config, request)
        if answer is not None:
            return answer
        from ctherd.herdfile.read import read_herd
        from ctherd.main.wiring import opened

        documents = read_herd(config.file).documents
        with opened(config, stays=False) as host:
            return host.service.apply(
                documents, partial=partial, confirmed=confirmed, tell=shown.tell
            )


@click.command()
@click.argument("router", default="")
@herd_file
@output
@own_table
@of_server
@common
def show(
    router: str, file: Path | None, output: str, own_table: bool | None, asked: "Asked"
) -> int:
    """Show desired, managed and live side by side, with status and surroundings.

    With --server: what is declared there, and how its hosts fare.
    """
    from ctherd.cli import remote, render

    config = configured(file=file, own_table=own_table)
    if names_server(asked):
        answer, print_it = remote.show(config, asked, router), render.show_declared
    else:
        answer, print_it = _look(config, router, file), render.show
    if output == "json":
        render.as_json(answer)
    else:
        print_it(answer)
    return 0


def _look(config: "Config", router: str, file: Path | None) -> dict[str, Any]:
    with progress("looking"):
        answer = _agent_answer(config, {"operation": "show", "router": router})
        if answer is not None:
            return answer
        from ctherd.herdfile.read import read_herd
        from ctherd.main.wiring import opened

        documents = read_herd(config.file).documents if file or config.file.exists() else None
        with opened(config, stays=False, changes=False) as host:
            return host.service.look(documents, router)


@click.command()
@herd_file
@own_table
@click.option("--server", help="Follow the server at this URL instead of a file.")
@click.option("--host", help="What the server calls this host (default: its name).")
@click.option("--token-file", type=_PATH, help="This host's token for the server.")
@click.option("--cert", "certificate", type=_PATH, help="This host's certificate, for mutual TLS.")
@click.option("--key", type=_PATH, help="The key of that certificate.")
@click.option("--ca", type=_PATH, help="Who may vouch for the server (default: the system's).")
@click.option("--server-keys", type=_PATH, help="Keys whose documents are believed.")
@common
def agent(file: Path | None, own_table: bool | None, **follow: Any) -> int:
    """Enforce the file, or what a server declares, until told to end.

    SIGTERM leaves the kernel as it is.
    """
    from ctherd.main.agent import run_agent

    def read() -> "Config":
        config = configured(file=file, own_table=own_table)
        return replace(config, follow=_followed(config.follow, file, follow))

    config = read()
    return run_agent(config, read, _source(config) if config.follow.server else None)


def _followed(
    configured: "FollowOptions", file: Path | None, given: dict[str, Any]
) -> "FollowOptions":
    """Return which server to follow; an option wins over the configuration, and -f over both."""
    from ctherd.main.server_config import FollowOptions

    said = {name: each for name, each in given.items() if each is not None}
    if file is not None:
        if said:
            raise click.UsageError("follow either a --file or a server, not both")
        return FollowOptions()
    followed = replace(configured, **said)
    if said and not followed.server:
        raise click.UsageError("these options are about a server: name it with --server")
    return followed


def _source(config: "Config") -> "Callable[[Host], Source]":
    from ctherd.main.follow import server_source

    return lambda host: server_source(config, host, config.follow)


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
@click.argument("router")
@click.argument("assignment", default="")
@output
@click.option("--yes", is_flag=True, help="Do it; without, only count the flows.")
@common
def adopt(router: str, assignment: str, output: str, yes: bool) -> int:
    """Let helpers reach connections that were open before them.

    They are tracked anew from their next packet on. ASSIGNMENT is tcp/21, tcp/21/ftp or ftp; left
    out, all of the router.
    """
    from ctherd.cli import render

    answer = _adopt(configured(), router, assignment, really=yes)
    if output == "json":
        render.as_json(answer)
    else:
        render.adopted(answer, done=yes)
    return 0


def _adopt(config: "Config", router: str, assignment: str, *, really: bool) -> dict[str, Any]:
    request = {
        "operation": "adopt",
        "router": router,
        "assignment": assignment,
        "really": really,
    }
    answer = _agent_answer(config, request)
    if answer is None:
        from ctherd.main.wiring import opened

        with opened(config, stays=False, changes=really) as host:
            service = host.service
            answer = service.adopt(service.adoption(router, assignment), really=really)
    return answer


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
