"""`ctherd watch`: what happens on a server's hosts, as it happens."""

from typing import TYPE_CHECKING, Any

import click

from ctherd.cli.options import common, configured, connected, of_server, output

if TYPE_CHECKING:
    from ctherd.client.access import Asked

_COLOURS = {"active": "green", "pending": "yellow", "partial": "yellow"}


@click.command()
@click.option("--project", default="", help="Only this project (default: all that we may see).")
@of_server
@output
@common
def watch(asked: "Asked", project: str, output: str) -> int:
    """Follow declarations, statuses, drift and repairs live, until interrupted.

    A server that goes away is asked again until it is back: what happened meanwhile is not told.
    """
    import time

    from ctherd.agent.backoff import Backoff
    from ctherd.client.refusals import ServerAway

    backoff = Backoff(0.5, 15.0)
    with connected(asked, configured()) as connection:
        query = {"project": project} if project else {}
        once = False
        while True:
            try:
                for event in connection.lines("/v1/events", query=query):
                    once = True
                    backoff.reset()
                    _tell(event, connection.url, output)
                why = "the server ended the stream: it stops, or we were too slow"
            except ServerAway as error:
                if not once:
                    raise
                why = str(error)
            click.echo(f"{why}; asking again", err=True)
            time.sleep(backoff.wait_s())


def _tell(event: dict[str, Any], url: str, output: str) -> None:
    import json

    if output == "json":
        click.echo(json.dumps(event))
    elif event["type"] == "in-sync":
        click.echo(f"watching {url}")
    elif event["type"] != "heartbeat":
        click.echo(f"{event['when']} {_words(event)}")


def _words(event: dict[str, Any]) -> str:
    match event["type"]:
        case "router":
            name = f"{event['name']} ({event['router']})" if event["name"] else event["router"]
            return f"router {name} {event['change']}"
        case "helper":
            helper = event["helper"]
            key = f"{helper['protocol']}/{helper['port']} {helper['helper']}"
            return f"router {event['router']}: {key} {event['change']}"
        case "status":
            status = click.style(event["status"], fg=_COLOURS.get(event["status"], "red"))
            reason = f": {event['reason']}" if event["reason"] else ""
            return f"{_where(event)}: helper {event['helper']} {event['family']} {status}{reason}"
        case "refused":
            why = f": {event['reason']}" if "reason" in event else ""
            return f"{_where(event)}: document refused{why}"
        case "host":
            return f"host {event['host']} {'is there' if event['alive'] else 'fell silent'}"
    took = f" after {event['ms']:.1f} ms" if event.get("ms") is not None else ""
    return f"{_where(event)}: {event['type']}{took}: {event['words']}"


def _where(event: dict[str, Any]) -> str:
    """Say where it happened; tenants are told the router alone."""
    if "host" in event:
        return f"{event['host']} {event['netns']}"
    return f"router {event['router']}"
