"""Commands that change nothing that stays: what this kernel can do, what ails it, a demo, help."""

import sys
from pathlib import Path

import click

from ctherd.cli.options import common, configured, herd_file, output


@click.command()
@output
@common
def helpers(output: str) -> int:
    """List what this very kernel can do, found by creating each helper in a scratch netns."""
    from ctherd.cli import render
    from ctherd.main.helpers import kernel_helpers

    rows = kernel_helpers(configured().netns_dir)
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


@click.command()
@herd_file
@output
@common
def doctor(file: Path | None, output: str) -> int:
    """Say why helpers do not work here, and what cures it."""
    from ctherd.cli import render
    from ctherd.cli.progress import progress
    from ctherd.doctor.diagnosis import as_data
    from ctherd.doctor.examine import examine
    from ctherd.herdfile.read import read_herd
    from ctherd.main.dataplanes import variant_in_use
    from ctherd.main.wiring import netns_directory

    config = configured(file=file)
    documents = read_herd(config.file).documents if file or config.file.exists() else ()
    with progress("examining"):
        found = examine(
            netns_directory(config.netns_dir), documents, variant=variant_in_use(config)
        )
    if output == "json":
        render.as_json([as_data(each) for each in found])
    else:
        for each in found:
            colour = {"ok": "green", "note": "cyan"}.get(each.severity.value, "red")
            click.echo(click.style(f"{each.severity.value:8}", fg=colour) + str(each))
    return 1 if any(each.severity.is_wrong for each in found) else 0


@click.command()
def demo() -> int:
    """Show the whole story on real traffic, in namespaces of its own."""
    from ctherd.demo.demo import run_demo

    return run_demo(sys.stdout)


@click.command()
@click.option("--config", "which", flag_value="config", help="The configuration file's reference.")
@click.option("--herd", "which", flag_value="herd", default=True, help="The herd file's schema.")
def schema(which: str) -> int:
    """Print the JSON Schema of the herd file, for editors; or the configuration reference."""
    from ctherd.herdfile.schema import schema_text
    from ctherd.main.config import reference_text

    click.echo(reference_text() if which == "config" else schema_text())
    return 0


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> int:
    """Print the completion script for a shell."""
    from click.shell_completion import get_completion_class

    maker = get_completion_class(shell)
    if maker is None:
        raise click.ClickException(f"there is no completion for {shell}")
    click.echo(
        maker(
            click.get_current_context().find_root().command, {}, "ctherd", "_CTHERD_COMPLETE"
        ).source()
    )
    return 0
