"""`ctherd audit`: what was decided, asked of a server; and whether the record of it is whole."""

from typing import TYPE_CHECKING, Any

import click

from ctherd.cli.options import common, configured, connected, of_server, output

if TYPE_CHECKING:
    from ctherd.client.access import Asked

_FILTERS = {
    "since": "The earliest time (RFC 3339, UTC), or a beginning of it.",
    "until": "The latest time, likewise.",
    "user": "Who asked.",
    "project": "The project of the user or of the router.",
    "router": "The router, by its id.",
    "helper": "The helper, by its id.",
    "action": "What was asked for, such as create_router_conntrack_helper.",
    "decision": "allowed or denied.",
    "request-id": "The id that the answer had.",
}


def _filters(command: Any) -> Any:
    for name, words in reversed(_FILTERS.items()):
        command = click.option(f"--{name}", default="", help=words)(command)
    return command


@click.group(invoke_without_command=True)
@_filters
@click.option("--limit", type=click.IntRange(1), default=50, help="How many, newest first.")
@of_server
@output
@common
def audit(asked: "Asked", limit: int, output: str, **filters: str) -> int:
    """Show what was decided, newest first."""
    if click.get_current_context().invoked_subcommand is not None:
        return 0
    from ctherd.cli import render

    entries = _entries(asked, limit, {name: each for name, each in filters.items() if each})
    if output == "json":
        render.as_json(entries)
    else:
        columns = ("when", "who", "decision", "action", "router", "request")
        render.table(columns, [_row(each) for each in entries if each["kind"] == "decision"])
    return 0


@audit.command()
@output
@common
def verify(output: str) -> int:
    """Find cuts and edits, on the server's own host. Exit: 0 whole, 1 with what is wrong."""
    import asyncio

    from ctherd.cli import render
    from ctherd.main.audit import verified

    verdict = asyncio.run(verified(configured().server.state_dir))
    findings = [each._asdict() for each in verdict.findings]
    if output == "json":
        told = {"chains": verdict.chains, "entries": verdict.entries, "sealed": verdict.sealed}
        render.as_json({"sound": verdict.sound, **told, "findings": findings})
    else:
        for each in verdict.findings:
            click.echo(f"{each.fault.value}: chain {each.chain}, entry {each.seq}: {each.words}")
        whole = "nothing was edited, cut or forged" if verdict.sound else "THE AUDIT IS NOT WHOLE"
        click.echo(
            f"{whole}: {verdict.entries} entries in {verdict.chains} chains, "
            f"{verdict.sealed} under a signature"
        )
    return 0 if verdict.sound else 1


def _entries(asked: "Asked", limit: int, filters: dict[str, str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    marker = ""
    with connected(asked, configured()) as connection:
        while len(found) < limit:
            query = {**filters, "limit": str(limit - len(found))}
            page = connection.ask(
                "GET", "/v1/audit", query=query | ({"marker": marker} if marker else {})
            )
            found += page["entries"]
            marker = page["marker"]
            if not marker:
                break
    return found


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    who = entry["who"] or {"user": "nobody known", "project": None}
    return (
        entry["when"],
        f"{who['user']} of {who['project']}" if who["project"] else who["user"],
        entry["decision"],
        entry["action"],
        entry["router"],
        entry["request_id"],
    )
