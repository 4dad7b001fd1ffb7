"""`ctherd backup` and `ctherd restore`: the store, on the server's own host."""

from pathlib import Path

import click

from ctherd.cli.options import common, configured

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("file", type=_FILE)
@common
def backup(file: Path) -> int:
    """Copy the store to FILE, also while the server runs. Keys and tokens are not in it."""
    from ctherd.store.backup import backup
    from ctherd.store.sqlite import STORE_FILE

    place = backup(configured().server.state_dir / STORE_FILE, file.absolute())
    click.echo(f"{file}: epoch {place.epoch}, revision {place.revision}")
    return 0


@click.command()
@click.argument("file", type=_FILE)
@click.option("--yes", is_flag=True, help="Replace the store that is there.")
@click.option(
    "--past-epoch",
    type=click.IntRange(0),
    default=0,
    help="An epoch that agents have seen, if the store that knew it is lost.",
)
@common
def restore(file: Path, yes: bool, past_epoch: int) -> int:
    """Begin a new epoch from the backup FILE; the server must not run."""
    from ctherd.main.restore import restore

    place = restore(
        file.absolute(), configured().server.state_dir, replace=yes, past_epoch=past_epoch
    )
    click.echo(f"the store begins epoch {place.epoch}; start the server, and agents follow it")
    return 0
