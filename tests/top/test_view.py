"""What is seen of a frame: order, filter, cursor; and that it fits, whatever the size."""

import io
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console, RenderableType

from ctherd.top.draw import draw, draw_once
from ctherd.top.frame import (
    AssignmentRow,
    Frame,
    Load,
    RepairRow,
    RouterRow,
    frame_as_data,
    read_repairs,
    read_routers,
)
from ctherd.top.keys import KeyReader
from ctherd.top.view import Filter, Sort, View, window

NOW = datetime(2026, 11, 23, 12, 0, 30, tzinfo=UTC)
ACTIVE = AssignmentRow("tcp/21 ftp", "ftp", "active", "")
DENIED = AssignmentRow("udp/5060 sip", "sip", "denied", "kill: withdrawn")
QUIET = RouterRow("alpha", "q-a", (ACTIVE,), loads={})
BUSY = RouterRow("beta", "q-b", (ACTIVE,), repairs=1, loads={"ftp": Load(3, 1)})
SICK = RouterRow("gamma", "q-c", (ACTIVE, DENIED), repairs=5, loads={"sip": Load(0, 9)})
REPAIR = RepairRow("2026-11-23T12:00:00.000Z", "gamma", "q-c", 0.42, ("create tcp/21 ftp: gone",))
FRAME = Frame("agent", "in sync", "nftables", (SICK, QUIET, BUSY), True, 6, (REPAIR,))


def names(view: View, frame: Frame = FRAME) -> list[str]:
    return [each.name for each in view.rows(frame)]


def pressed(*keys: str, view: View | None = None, page: int = 10) -> View:
    view = view or View()
    for key in keys:
        view = view.press(key, FRAME, page)
    return view


def seen(renderable: RenderableType, width: int) -> list[str]:
    """What a terminal of that width shows, line by line."""
    written = io.StringIO()
    console = Console(file=written, width=width, highlight=False, color_system=None)
    console.print(renderable, soft_wrap=False)
    return written.getvalue().removesuffix("\n").split("\n")


def test_the_order_is_by_name_until_another_is_chosen() -> None:
    """Trouble first, most flows, most expectations, most repairs; then by name again."""
    orders = {Sort(each): names(View(sort=each)) for each in Sort}
    assert orders == {
        Sort.NAME: ["alpha", "beta", "gamma"],
        Sort.TROUBLE: ["gamma", "alpha", "beta"],
        Sort.FLOWS: ["beta", "alpha", "gamma"],
        Sort.EXPECTED: ["gamma", "beta", "alpha"],
        Sort.REPAIRS: ["gamma", "beta", "alpha"],
    }
    assert pressed(*"sssss").sort is Sort.NAME
    assert pressed("s").sort is Sort.TROUBLE


def test_only_what_is_asked_for_is_shown() -> None:
    """All, those in trouble, those with flows or expectations."""
    assert names(pressed("f")) == ["gamma"]
    assert names(pressed("f", "f")) == ["beta", "gamma"]
    assert pressed(*"fff").filter is Filter.ALL


def test_the_cursor_stays_on_its_router() -> None:
    """Wherever a new order or a new frame puts it; if it is gone, on the first."""
    view = pressed("down")
    assert view.chosen == "q-b"
    view = pressed("s", "s", view=view)
    assert view.rows(FRAME)[view.cursor(view.rows(FRAME))].name == "beta"
    assert pressed("f", view=view).cursor([SICK]) == 0


@pytest.mark.parametrize(
    ("keys", "at"),
    [
        (["up"], 0),
        (["down"] * 9, 2),
        (["G"], 2),
        (["G", "k"], 1),
        (["end", "home"], 0),
        (["page down"], 2),
        (["j", "page up"], 0),
        (["x"], 0),
    ],
)
def test_the_cursor_stops_at_the_ends(keys: list[str], at: int) -> None:
    view = pressed(*keys)
    assert view.cursor(view.rows(FRAME)) == at


def test_help_goes_as_it_came() -> None:
    """By the same key, or by escape."""
    assert pressed("h").help
    assert not pressed("h", "?").help
    assert not pressed("h", "escape").help


@given(st.integers(0, 200), st.integers(0, 199), st.integers(1, 60))
def test_the_window_has_the_cursor(rows: int, cursor: int, height: int) -> None:
    """It is as high as it may be, and never beyond the rows."""
    cursor = min(cursor, max(rows - 1, 0))
    shown = window(cursor, rows, height)
    assert len(shown) == min(rows, height)
    assert not rows or cursor in shown
    assert all(0 <= each < rows for each in shown)


WORDS = st.text(st.characters(codec="utf-8"), max_size=20)
ROUTERS = st.builds(
    RouterRow,
    WORDS,
    WORDS,
    st.lists(st.builds(AssignmentRow, WORDS, WORDS, WORDS, WORDS), max_size=4).map(tuple),
    WORDS,
    st.lists(WORDS, max_size=3).map(tuple),
    st.integers(0, 3),
    st.integers(0, 10**6),
    st.none() | st.dictionaries(WORDS, st.builds(Load, st.integers(0), st.integers(0)), max_size=3),
)
FRAMES = st.builds(
    Frame,
    st.sampled_from(["agent", "kernel"]),
    WORDS,
    WORDS,
    st.lists(ROUTERS, max_size=12, unique_by=lambda row: row.netns).map(tuple),
    st.none() | st.booleans(),
    st.none() | st.integers(0),
    st.just((REPAIR,)),
)
VIEWS = st.builds(View, st.sampled_from(Sort), st.sampled_from(Filter), WORDS, st.booleans())


@settings(max_examples=60)
@given(FRAMES, VIEWS, st.integers(1, 200), st.integers(1, 60))
def test_a_frame_fits_the_terminal(frame: Frame, view: View, width: int, height: int) -> None:
    """Never a line or a cell too many, and no byte that a terminal would obey."""
    lines = seen(draw(frame, view, width, height, NOW), width)
    assert len(lines) == (height if height >= 6 and width >= 20 else 1)
    assert all(cell_len(each) <= width for each in lines)
    assert all(each.isprintable() for each in lines)


def test_what_a_frame_tells() -> None:
    """States, loads by helper, the last repair and when; the chosen router in full."""
    lines = "\n".join(seen(draw(FRAME, View(chosen="q-c"), 120, 30, NOW), 120))
    assert "3 routers  assignments: 1 denied, 3 active" in lines
    assert "repairs: 6 (last: gamma, 30 s ago, took 0.4 ms)" in lines
    assert "ftp 3 flows, 1 expected  sip 0 flows, 9 expected" in lines
    assert "kill: withdrawn" in lines
    assert "create tcp/21 ftp: gone" in lines


def test_one_frame_in_full() -> None:
    """For a pipe, every router is told in full."""
    lines = "\n".join(seen(draw_once(FRAME, 200, NOW), 200))
    assert all(f"{each.name} (netns {each.netns})" in lines for each in FRAME.routers)
    assert "q quit" not in lines


def test_what_was_told_is_what_is_shown() -> None:
    """An agent's words become rows, and rows become JSON."""
    told = [
        {
            "router": "edge",
            "netns": "q",
            "assignments": [
                {"protocol": "tcp", "port": 21, "helper": "ftp", "status": None, "reason": ""}
            ],
            "error": {"what": "broken"},
            "drift": ["x"],
            "owed": 2,
        }
    ]
    rows = read_routers(told, {"q": 4}, {"q": {"ftp": Load(1, 2)}})
    undeclared = AssignmentRow("tcp/21 ftp", "ftp", "undeclared", "")
    wanted = RouterRow("edge", "q", (undeclared,), "broken", ("x",), 2, 4, {"ftp": Load(1, 2)})
    assert rows == (wanted,)
    (repair,) = read_repairs([REPAIR._asdict()])
    assert repair == REPAIR
    said = frame_as_data(Frame("agent", "", "nftables", rows, True, 4, (repair,)))
    assert said["routers"][0]["helpers"] == {"ftp": {"flows": 1, "expected": 2}}
    assert said["helpers"] == {"ftp": {"flows": 1, "expected": 2}}


@pytest.mark.parametrize(
    ("pieces", "keys"),
    [
        ([b"q"], ["q"]),
        ([b"jk?"], ["j", "k", "?"]),
        ([b"\x1b[A\x1bOB\x1b[5~"], ["up", "down", "page up"]),
        ([b"\x1b[", b"B"], ["down"]),
        ([b"s\x1b[1", b"~"], ["s", "home"]),
        ([b"\x1b"], ["escape"]),
        ([b"\x1b[200~", b"x"], ["x"]),
        ([b"\xff\x00\r"], []),
        ([b"\x1bq"], ["escape", "q"]),
    ],
)
def test_keys(pieces: list[bytes], keys: list[str]) -> None:
    """Sequences may come in pieces, and what nobody knows means nothing."""
    reader = KeyReader()
    assert [key for piece in pieces for key in reader.read(piece)] == keys


@given(st.lists(st.binary(max_size=20)))
def test_no_bytes_are_too_strange(pieces: list[bytes]) -> None:
    """Whatever is typed or pasted, reading goes on."""
    reader = KeyReader()
    for piece in pieces:
        reader.read(piece)
    assert reader.read(b"\x1b[A")[-1:] in ([], ["up"])
