"""A frame as a person sees it, in as many lines and cells as there are. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ctherd.top.columns import COLOURS, columns_for, states_in_words
from ctherd.top.frame import Frame, RouterRow
from ctherd.top.view import View, window

_KEYS: Final = "q quit  ↑↓ jk choose  s sort  f filter  h help"
_HELP: Final = (
    "q              quit",
    "↑ ↓  j k       choose a router; PgUp, PgDn, g, G go further",
    "s              sort by name, trouble, flows, expected, repairs",
    "f              show all, those in trouble, those with flows",
    "h ?            this help",
    "",
    "flows          connections that have a helper now",
    "expected       connections that helpers wait for",
    "repairs        how often the agent cured drift since it began",
    "drift          where the kernel is not as it should be, now",
)
_HEAD_LINES: Final = 3
_LEAST_WIDTH, _LEAST_HEIGHT = 20, 6
_LEAST_HEIGHT_FOR_DETAILS: Final = 12


def page_of(height: int, details: int) -> int:
    """Return how many routers fit on *height* lines beside *details*."""
    return max(1, height - _HEAD_LINES - 2 - details)  # a line of titles, a line of keys


def draw(frame: Frame, view: View, width: int, height: int, now: datetime) -> RenderableType:
    """Return what fills a terminal of that size."""
    if height < _LEAST_HEIGHT or width < _LEAST_WIDTH:
        return Group(_one_line(Text("ctherd top needs more room")))
    rows = view.rows(frame)
    at = view.cursor(rows)
    details = _details_for(frame, rows[at] if rows else None, height)
    page = page_of(height, len(details))
    if view.help:
        middle: RenderableType = _lines([Text(each) for each in _HELP], height - _HEAD_LINES - 1)
    else:
        shown = window(at, len(rows), page)
        table = _table([rows[each] for each in shown], width, at - shown.start)
        filling = [Text() for _ in range(page - len(shown))]
        middle = Group(table, *filling, *details)
    return Group(*_head(frame, now), middle, _foot(view, len(rows), len(frame.routers)))


def draw_once(frame: Frame, width: int, now: datetime) -> RenderableType:
    """Return all of *frame*, below each other, for a file or a pipe."""
    rows = View().rows(frame)
    details = [line for row in rows for line in (Text(), *_details(frame, row))]
    return Group(*_head(frame, now), _table(rows, width, None), *details)


def _head(frame: Frame, now: datetime) -> Iterator[Text]:
    first = Text("ctherd top", "bold")
    first.append(f"  {frame.dataplane}  ", "dim")
    first.append(frame.note, "yellow" if frame.origin == "kernel" else "dim")
    yield _one_line(first)
    second = Text(f"{len(frame.routers)} routers  assignments: ")
    second.append(states_in_words(frame.states))
    if frame.repairs is not None:
        second.append(f"  repairs: {frame.repairs}", "yellow" if frame.repairs else "")
        second.append(_last_repair(frame, now))
    yield _one_line(second)
    yield _one_line(_helpers(frame))


def _helpers(frame: Frame) -> Text:
    told = Text("helpers: ")
    for number, (helper, load) in enumerate(frame.loads.items()):
        told.append("  " if number else "")
        told.append(helper, "cyan")
        told.append(f" {load.flows} flows, {load.expected} expected")
    return told if frame.loads else told.append("no flow has one", "dim")


def _last_repair(frame: Frame, now: datetime) -> str:
    if not frame.recent:
        return ""
    last = frame.recent[-1]
    since_s = max(0, int((now - datetime.fromisoformat(last.when)).total_seconds()))
    return f" (last: {last.router}, {since_s} s ago, took {last.ms:.1f} ms)"


def _table(rows: Sequence[RouterRow], width: int, cursor: int | None) -> Table:
    columns = columns_for(width)
    table = Table(box=None, expand=True, pad_edge=False, header_style="bold dim")
    for each in columns:
        table.add_column(
            each.title,
            justify="right" if each.right else "left",
            no_wrap=True,
            overflow="ellipsis",
            ratio=None if each.right else 1,
        )
    for at, row in enumerate(rows):
        style = "reverse" if at == cursor else ""
        table.add_row(*(_one_line(each.cell(row)) for each in columns), style=style)
    return table


def _details_for(frame: Frame, row: RouterRow | None, height: int) -> list[Text]:
    if row is None or height < _LEAST_HEIGHT_FOR_DETAILS:
        return []
    return list(_details(frame, row))[: height // 2]


def _details(frame: Frame, row: RouterRow) -> Iterator[Text]:
    """Yield the lines that tell all of one router."""
    yield _one_line(Text(f"{row.name} (netns {row.netns})", "bold underline"))
    if row.error:
        yield _one_line(Text(f"error: {row.error}", "red"))
    for words in row.drift:
        yield _one_line(Text(f"drift: {words}", "red"))
    loads = dict(row.loads or {})
    for each in row.assignments:
        line = Text(f"  {each.key:24} ")
        line.append(f"{each.status:10}", COLOURS.get(each.status, "red"))
        load = loads.pop(each.helper, None)
        if load is not None:
            line.append(f"  {load.flows} flows, {load.expected} expected")
        yield _one_line(line.append(f"  {each.reason}", "dim"))
    for helper, load in loads.items():
        stranger = f"  {helper:24} not assigned by us"
        yield _one_line(Text(f"{stranger}  {load.flows} flows, {load.expected} expected", "dim"))
    if row.owed:
        yield _one_line(Text(f"  {row.owed} revocations are owed to live flows", "yellow"))
    for repair in reversed([each for each in frame.recent if each.netns == row.netns]):
        words = "; ".join(repair.words)
        yield _one_line(Text(f"  repaired {repair.when} in {repair.ms:.1f} ms: {words}", "dim"))


def _foot(view: View, shown: int, all_of_them: int) -> Text:
    foot = Text(_KEYS, "reverse")
    foot.append(f"  by {view.sort}, {view.filter}: {shown} of {all_of_them}")
    return _one_line(foot)


def _lines(lines: Sequence[Text], height: int) -> Group:
    """Return exactly *height* of *lines*."""
    filling = [Text() for _ in range(height - len(lines))]
    return Group(*map(_one_line, lines[: max(0, height)]), *filling)


def _one_line(text: Text) -> Text:
    """Let *text* be one line, and nothing in it that would move a terminal's cursor."""
    text.plain = "".join(each if each.isprintable() else "�" for each in text.plain)
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
