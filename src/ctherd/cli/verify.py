"""`ctherd verify`: proves that the helpers of a router work, and says what the proof is worth."""

from pathlib import Path
from typing import Any, Final

import click

from ctherd.cli.options import common, configured, herd_file, output

_COLOURS: Final = {"proven": "green", "failed": "red"}
_PROOFS: Final = {
    "state": "by the kernel's state",
    "partial": "by a flow through a partial copy",
    "probe": "by a flow through a copy",
}


@click.command()
@click.argument("router")
@click.argument("assignment", default="")
@herd_file
@click.option("--no-probe", is_flag=True, help="Only read the kernel's state, send no flow.")
@output
@common
def verify(router: str, assignment: str, file: Path | None, no_probe: bool, output: str) -> int:
    """Prove that the helpers of a router work, without touching its traffic.

    ASSIGNMENT is tcp/21, tcp/21/ftp or ftp; left out, all of the router. Exit: 0 all are proven,
    1 one is not.
    """
    from ctherd.cli import render
    from ctherd.cli.progress import progress
    from ctherd.main.verify import all_proven, verify_router

    config = configured(file=file)
    with progress("verifying"):
        answer = verify_router(config, router, assignment, probe=not no_probe)
    if output == "json":
        render.as_json(answer)
    else:
        _print(answer)
    return 0 if all_proven(answer) else 1


def _print(answer: dict[str, Any]) -> None:
    for router in answer["routers"]:
        click.secho(f"{router['router']} (netns {router['netns']})", bold=True)
        for each in router["evidence"]:
            place = f"{each['protocol']}/{each['port']} {each['helper']} {each['family']}"
            result = click.style(f"{each['result']:7}", fg=_COLOURS[each["result"]])
            click.echo(f"  {result} {place}, {_PROOFS[each['proof']]}: {each['words']}")
        for words in dict.fromkeys(w for each in router["evidence"] for w in each["missing"]):
            click.echo(f"  {click.style('partial', fg='yellow')} {words}")
        if not router["evidence"]:
            click.echo("  nothing is assigned")
