"""Commands for coming and going: what another tool left is taken over, what we left is removed."""

from pathlib import Path
from typing import Any

import click

from ctherd.cli.options import common, configured, herd_file, output

yes = click.option("--yes", is_flag=True, help="Do it; without, only say what would be done.")


@click.command()
@output
@yes
@click.option("--unrecorded", is_flag=True, help="Also what bears a mark that no journal knows.")
@common
def uninstall(output: str, yes: bool, unrecorded: bool) -> int:
    """Remove all traces of every dataplane from every network namespace."""
    from ctherd.cli import render
    from ctherd.main.uninstall import uninstall as remove
    from ctherd.main.wiring import opened

    with opened(configured(), stays=False, changes=yes) as host:
        found = remove(host, really=yes, unrecorded=unrecorded)
    if output == "json":
        render.as_json(found)
    else:
        for each in found:
            click.echo(f"netns {each['netns']}, {each['dataplane']}: {_trace(each)}")
        if not found:
            click.echo("nothing of ours is anywhere")
        elif not yes:
            click.echo("nothing was removed; repeat with --yes")
    return 1 if any(each["error"] for each in found) else 0


def _trace(each: dict[str, Any]) -> str:
    if each["error"]:
        return click.style("error", fg="red") + f": {each['error']}"
    whose = "recorded" if each["recorded"] else f"not in the journal, mark {each['tag']}"
    return f"{'removed ' if each['removed'] else ''}{each['what']} ({whose})"


@click.command()
@herd_file
@output
@click.option("--from", "source", type=click.Choice(["neutron"]), required=True, help="Whose.")
@yes
@common
def migrate(file: Path | None, output: str, source: str, yes: bool) -> int:
    """Take over what Neutron's L3 agent extension left: made by us before it is removed."""
    from ctherd.cli import render
    from ctherd.herdfile.read import read_herd
    from ctherd.main.migrate import migrate_from_neutron
    from ctherd.main.wiring import opened

    config = configured(file=file)
    documents = read_herd(config.file).documents
    with opened(config, stays=False, changes=yes) as host:
        answers = migrate_from_neutron(host, documents, really=yes)
    if output == "json":
        render.as_json(answers)
    else:
        for each in answers:
            _migration(each)
        if not answers:
            click.echo(f"nothing of {source} is anywhere")
        elif not yes and not all(each["error"] for each in answers):
            click.echo("nothing was changed; repeat with --yes")
    return 1 if any(each["error"] for each in answers) else 0


def _migration(each: dict[str, Any]) -> None:
    click.secho(f"netns {each['netns']}", bold=True)
    if each["error"]:
        click.echo(f"  {click.style('left alone', fg='red')}: {each['error']}")
    did, does = ("made", "removed") if each["done"] else ("make", "remove")
    for assignment in each["assignments"]:
        click.echo(f"  {did} {assignment}")
    for chain in each["chains"]:
        click.echo(f"  {does} chain {chain['chain']} ({chain['variant']}, {chain['family']})")
