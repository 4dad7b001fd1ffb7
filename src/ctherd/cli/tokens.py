"""`ctherd token`: who may ask the server, on the server's own host."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ctherd.cli.options import common, configured, output

if TYPE_CHECKING:
    from ctherd.authz.identity.token_file import Token


@click.group()
def token() -> None:
    """Make, list and revoke tokens for users and for hosts."""


@token.command()
@click.option("--user", default="", help="Who it is for.")
@click.option("--project", default="", help="The project of that user.")
@click.option("--role", "roles", multiple=True, help="admin, member or reader; may be repeated.")
@click.option("--host", default="", help="The host whose agent it is for, instead of a user.")
@click.option("--expires", default="", help="Until when (RFC 3339), such as 2027-01-01T00:00:00Z.")
@click.option("--description", default="", help="A note.")
@output
@common
def create(
    user: str,
    project: str,
    roles: tuple[str, ...],
    host: str,
    expires: str,
    description: str,
    output: str,
) -> int:
    """Make a token and print it, this once."""
    from ctherd.authz.identity.token_file import Grant, create_token
    from ctherd.cli import render
    from ctherd.main.core import private_directory

    private_directory(configured().server.state_dir)
    grant = Grant(user, project, roles, host, expires, description)
    text, made = create_token(_path(), grant)
    if output == "json":
        render.as_json({"token": text, **_as_data(made)})
    else:
        click.echo(text)
    return 0


@token.command("list")
@output
@common
def list_tokens(output: str) -> int:
    """List all tokens; a token itself is kept nowhere."""
    from ctherd.authz.identity.token_file import read_tokens
    from ctherd.cli import render
    from ctherd.errors import NotFound

    try:
        rows = [_as_data(each) for each in read_tokens(_path()).values()]
    except NotFound:
        rows = []
    if output == "json":
        render.as_json(rows)
    else:
        columns = ("id", "user", "project", "roles", "host", "created", "expires", "description")
        render.table(columns, [tuple(_spelled(row[each]) for each in columns) for row in rows])
    return 0


@token.command()
@click.argument("token")
@common
def revoke(token: str) -> int:
    """Take TOKEN back, by its id (`ctherd token list`) or the token itself."""
    from ctherd.authz.identity.token_file import TokenId, revoke_token, split

    known = split(token)
    revoked = revoke_token(_path(), known.id if known else TokenId(token))
    click.echo(f"revoked: the token of {revoked.user}")
    return 0


def _path() -> Path:
    from ctherd.authz.identity.token_file import TOKEN_FILE

    return configured().server.state_dir / TOKEN_FILE


def _as_data(token: "Token") -> dict[str, object]:
    return {
        "id": token.id,
        "user": token.user,
        "project": token.project,
        "roles": sorted(token.roles),
        "host": token.host,
        "created": token.created,
        "expires": token.expires,
        "description": token.description,
    }


def _spelled(value: object) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value or "")
