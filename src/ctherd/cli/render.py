"""Answers as a person reads them: tables and colour only on a terminal."""

import json
import sys
from typing import Any

import click

from ctherd.service.revocations import in_words as revoked_in_words

_SIGNS = {
    "create": ("+", "green"),
    "adopt": ("=", "cyan"),
    "replace": ("~", "yellow"),
    "delete": ("-", "red"),
    "forget": (".", "cyan"),
    "conflict": ("!", "red"),
}
_COLUMNS = ("assignment", "desired", "managed", "live", "status", "risk", "verified", "reason")
_STATES = {"active": "green", "pending": "yellow", "partial": "yellow"}


def as_json(answer: Any) -> None:
    """Print *answer* as JSON."""
    click.echo(json.dumps(answer, indent=2))


def changes(answer: dict[str, Any], *, done: bool) -> None:
    """Print what a plan would change, or what applying it changed."""
    quiet = True
    for router in answer["routers"]:
        lines = list(_router_lines(router))
        if lines:
            quiet = False
            host = f"{router['host']}, " if router.get("host") else ""
            click.secho(f"{router['router']} ({host}netns {router['netns']})", bold=True)
            for line in lines:
                click.echo(f"  {line}")
    if quiet:
        click.echo("nothing to change" if not done else "nothing changed: all is as declared")
    if answer.get("unsafe"):
        click.secho(f"unsafe: {answer['unsafe']}; `apply` will ask, or take --yes", fg="yellow")


def adopted(answer: dict[str, Any], *, done: bool) -> None:
    """Print how many open connections a helper would reach, or what was done to them."""
    for line in _flow_lines(answer):
        click.echo(line)
    if not done and any(each["flows"] for each in answer["adopts"]):
        click.echo("nothing was changed; repeat with --yes to have them tracked anew")


def _proven_cell(evidence: dict[str, Any]) -> str:
    """Return in short what was verified, family by family."""
    found = [f"{family} {_proven(each)}" for family, each in evidence.items()]
    return "; ".join(found) or "–"


def _proven(each: dict[str, Any]) -> str:
    how = "stale" if each["stale"] else f"{each['result']} ({each['proof']})"
    return f"{how} {_minute(each['when'])}"


def _minute(moment: str) -> str:
    """Return an RFC 3339 time as people read it, to the minute."""
    return moment[:16].replace("T", " ")


def _evidence_lines(router: dict[str, Any]) -> Any:
    for each in router["assignments"]:
        for family, found in each["evidence"].items():
            name = f"{each['protocol']}/{each['port']} {each['helper']} {family}"
            state = f"stale, {found['stale']}" if found["stale"] else found["result"]
            yield (
                f"evidence: {name}: {state}: {found['words']} "
                f"({found['proof']}, {found['when']}, Linux {found['kernel']})"
            )
    missing = [
        words
        for each in router["assignments"]
        for found in each["evidence"].values()
        for words in found["missing"]
    ]
    yield from (f"evidence is partial: {each}" for each in dict.fromkeys(missing))


def _risk_cell(risk: dict[str, Any] | None) -> str:
    return "–" if risk is None else f"{risk['points']} {risk['level']}"


def _risk_line(risk: dict[str, Any]) -> str:
    return f"risk {risk['points']} ({risk['level']}): {', '.join(risk['reasons'])}"


def _flow_lines(router: dict[str, Any]) -> Any:
    for each in router.get("adopts", ()):
        place = f"{each['protocol']}/{each['port']}"
        label = click.style("* adopt   ", fg="yellow")
        yield f"{label} {place:10} {each['helper']}: {each['flows']} open flows"
    for each in router.get("revoked", ()):
        yield click.style("* flows   ", fg="cyan") + f" {revoked_in_words(each)}"


def _unusual(change: dict[str, Any]) -> str:
    """Say what shall become of flows, where that was asked for."""
    said = [f"on_revoke {change['on_revoke']}"] if _ends_unusually(change) else []
    said += ["adopt_flows"] if change.get("adopt_flows") else []
    return f" ({', '.join(said)})" if said else ""


def _ends_unusually(change: dict[str, Any]) -> bool:
    return change.get("on_revoke") not in (None, "detach")


def _router_lines(router: dict[str, Any]) -> Any:
    for step in router.get("steps", ()):
        yield click.style("* router  ", fg="cyan") + f" {step}"
    for change in router["changes"]:
        sign, colour = _SIGNS[change["change"]]
        place = f"{change['protocol']}/{change['port']}"
        scope = change["after"] if change["after"] is not None else change["before"]
        target = f" to {', '.join(scope)}" if scope else ""
        head = click.style(f"{sign} {change['change']:8}", fg=colour)
        unusual = _unusual(change)
        yield f"{head} {place:10} {change['helper']}{target}{unusual}: {change['why']}"
        if change.get("risk"):
            yield click.style(f"             {_risk_line(change['risk'])}", dim=True)
    for repair in router["repairs"]:
        yield click.style("* repair  ", fg="yellow") + f" {repair}"
    if router["claim"]:
        yield click.style("* claim   ", fg="cyan") + " let the kernel guard the table"
    yield from _flow_lines(router)
    for warning in router.get("warnings", ()):
        yield click.style("warning", fg="yellow") + f": {warning}"
    if router["pending"]:
        yield click.style("pending", fg="yellow") + f": {router['pending']}"
    for denied in router["denied"]:
        label = click.style("denied", fg="red")
        yield f"{label}: {denied['assignment']}: {denied['rule']}: {denied['reason']}"
    for refused in router["refused"]:
        yield click.style("error", fg="red") + f": {refused['assignment']}: {refused['reason']}"
    if router["error"]:
        error = router["error"]
        cure = f" ({error['cure']})" if error["cure"] else ""
        yield click.style("error", fg="red") + f": {error['what']}{cure}"


def show(answer: dict[str, Any]) -> None:
    """Print how routers fare."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    console.print(escape(f"dataplane {answer['dataplane']['name']}: {answer['dataplane']['why']}"))
    for router in answer["routers"]:
        guard = "guarded by the kernel" if router["guarded"] else "not guarded by the kernel"
        table = Table(title=f"{router['router']} (netns {router['netns']}), {guard}")
        for column in _COLUMNS:
            table.add_column(column)
        for each in router["assignments"]:
            state = each["status"] or "undeclared"
            words = "; ".join(filter(None, (each["reason"], each["remark"])))
            colour = _STATES.get(state, "red")
            table.add_row(
                f"{each['protocol']}/{each['port']} {each['helper']}",
                *(each[side] or "–" for side in ("desired", "managed", "live")),
                f"[{colour}]{state}[/]",
                _risk_cell(each["risk"]),
                escape(_proven_cell(each["evidence"])),
                escape(words),
            )
        console.print(table)
        for line in (*_evidence_lines(router), *_surroundings(router)):
            console.print(f"  {escape(line)}")
    if not answer["routers"]:
        console.print("no routers are declared or managed here")


def show_declared(answer: dict[str, Any]) -> None:
    """Print how the routers of a server fare."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    for router in answer["routers"]:
        places = ", ".join(f"{each['host']}: {each['netns']}" for each in router["placements"])
        table = Table(title=escape(f"{router['router']} ({places or 'placed nowhere'})"))
        for column in ("assignment", "desired", "status", "reason", "hosts"):
            table.add_column(column)
        for each in router["assignments"]:
            colour = _STATES.get(each["status"], "red")
            table.add_row(
                f"{each['protocol']}/{each['port']} {each['helper']}",
                each["desired"] + _unusual(each),
                f"[{colour}]{each['status']}[/]",
                escape(each["reason"]),
                escape("; ".join(map(_detail, each["details"]))),
            )
        console.print(table)
    if not answer["routers"]:
        console.print("the server shows us no routers")


def _detail(detail: dict[str, Any]) -> str:
    host = f"{detail['host']} " if detail.get("host") else ""
    # A server of before there was evidence says nothing of it.
    at, how = detail.get("verified_at"), detail.get("verified_by")
    verified = f" (verified {_minute(at)}, {how})" if at else ""
    return f"{host}{detail['family']} {detail['status']}{verified}"


def _surroundings(router: dict[str, Any]) -> Any:
    if router["holder"]:
        yield f"conflict: {router['holder']}"
    if router["error"]:
        yield f"error: {router['error']['what']}"
    yield from (f"damage: {each}" for each in router["damage"])
    yield from (f"warning: {each}" for each in router["warnings"])
    for each in router["narrowed"]:
        if each["packets"]:
            yield f"narrowed: {each['words']} ({each['chain']}): {each['packets']} packets"
    for each in router["owed"]:
        yield f"owed: {each['action']} {each['protocol']}/{each['port']} {each['helper']}"
    yield from (f"revoked: {revoked_in_words(each)}" for each in router["revoked"])
    for helper, count in router["flows"].items():
        yield f"{helper}: {count['flows']} live flows, {count['expectations']} expectations"
    yield from (f"foreign: {each['sentence']}" for each in router["foreign"])


def table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Print *rows* under *columns*."""
    from rich.console import Console
    from rich.table import Table

    drawn = Table(*columns)
    for row in rows:
        drawn.add_row(*row)
    Console(highlight=False, width=None if sys.stdout.isatty() else 200).print(drawn)
