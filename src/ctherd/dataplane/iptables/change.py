"""The difference between a place and what is wanted there, as lines for iptables-restore.

Only what differs is written, so rules that stay keep their counters. Jumps, and rules in our chain,
are deleted by what they say, never by number: a number may be another rule's by then.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from ctherd.dataplane.iptables.names import Names
from ctherd.dataplane.iptables.narrowing import entry_of
from ctherd.dataplane.iptables.rule import Rule, render
from ctherd.dataplane.iptables.side import Side, entry_jump, jump
from ctherd.dataplane.iptables.variant import BASES, PREROUTING, TABLE
from ctherd.errors import LocalProtocolError

_FIRST_LINE: Final = 2
_LONGEST: Final = 4096  # iptables-restore takes what is beyond 10 KB of a line for another line


class Line(NamedTuple):
    """One line of a restore. Shape: *adds* is the rule that it adds."""

    text: str
    adds: Rule | None = None


def difference(
    side: Side, wanted: Counter[Rule], names: Names, *, rebuild: bool = False
) -> list[Line]:
    """Return the lines that make *side* hold *wanted* alone; *rebuild* empties the chain first."""
    if side.is_as(wanted):
        return []
    if not wanted:
        return list(_removal(side, names))
    return [
        *_chain(side, names, rebuild=rebuild),
        *_rules(side, wanted, names, rebuild=rebuild),
        *_entry(side, names),
        *_jumps(side, names),
        *_detours(side, names),
    ]


def needs_rebuild(side: Side) -> bool:
    """Tell whether something is in our chain that no line of a restore could name."""
    return not all(map(_is_one_line, side.surplus))


def _chain(side: Side, names: Names, *, rebuild: bool) -> Iterator[Line]:
    if not side.present:
        # Not ":chain", which would empty one that somebody made in between.
        yield Line(f"-N {names.chain}")
    elif rebuild:
        yield Line(f"-F {names.chain}")


def _rules(side: Side, wanted: Counter[Rule], names: Names, *, rebuild: bool) -> Iterator[Line]:
    have: Counter[Rule] = Counter() if rebuild else side.rules
    for rule in wanted - have:
        yield Line(f"-A {names.chain} {render(rule, names.comment)}", rule)
    for rule in (have - wanted).elements():
        yield Line(f"-D {names.chain} {render(rule, names.comment)}")
    for text in () if rebuild else side.surplus:
        yield Line(f"-D {names.chain} {text}")


def _entry(side: Side, names: Names) -> Iterator[Line]:
    """Yield what makes the chain that stands before ours, where it is not as planned."""
    if side.entry_wanted is None or side.entry == side.entry_wanted:
        return
    entry = entry_of(names)
    yield Line(f"-N {entry}" if side.entry is None else f"-F {entry}")
    yield from (Line(f"-A {entry} {text}") for text in side.entry_wanted)


def _detours(side: Side, names: Names) -> Iterator[Line]:
    """Yield what takes away the other way to our chain, and what stood there."""
    narrowed = side.entry_wanted is not None
    other = jump(names) if narrowed else entry_jump(names)
    yield from [Line(f"-D {PREROUTING} {other}")] * side.detours.jumps
    if not narrowed and side.entry is not None:
        yield Line(f"-F {entry_of(names)}")
        yield Line(f"-X {entry_of(names)}")


def _jump_from(base: str, side: Side, names: Names) -> str:
    narrowed = base == PREROUTING and side.entry_wanted is not None
    return entry_jump(names) if narrowed else jump(names)


def _jumps(side: Side, names: Names) -> Iterator[Line]:
    """Yield what makes each base chain jump to ours once, where packets come by.

    At the end, after rules of others: whoever keeps packets from conntrack, or puts them into a
    zone, is obeyed, as with the nf_tables dataplane. Before them only where nothing behind them is
    ever reached.
    """
    for name in BASES:
        base = side.base(name)
        keep = min(base.jumps, 1) if base.reached else 0
        ours = _jump_from(name, side, names)
        for _ in range(base.jumps - keep):
            yield Line(f"-D {name} {ours}")
        if not keep:
            yield Line(f"{'-I' if base.ends else '-A'} {name} {ours}")


def _removal(side: Side, names: Names) -> Iterator[Line]:
    for name in BASES:
        for _ in range(side.base(name).jumps):
            yield Line(f"-D {name} {_jump_from(name, side, names)}")
    yield from _detours(side, names)
    if side.entry is not None and side.entry_wanted is not None:
        yield Line(f"-F {entry_of(names)}")
        yield Line(f"-X {entry_of(names)}")
    if side.present:
        yield Line(f"-F {names.chain}")
    if side.present and not side.users:
        yield Line(f"-X {names.chain}")


def restore_input(lines: Sequence[Line], table: str = TABLE) -> str:
    """Return what iptables-restore is given: *lines* in one transaction, then a read back.

    Raises: LocalProtocolError for a line that would be two.
    """
    for line in lines:
        if not _is_one_line(line.text):
            raise LocalProtocolError(f"{line.text!r} is no single line")
    read_back = f"*{table}\n-S\nCOMMIT\n"
    return "\n".join([f"*{table}", *(line.text for line in lines), "COMMIT", read_back])


def _is_one_line(text: str) -> bool:
    return len(text) <= _LONGEST and "\n" not in text and "\0" not in text


def line_at(lines: Sequence[Line], number: int) -> Line | None:
    """Return the line that iptables-restore calls *number*; None for one that frames them."""
    index = number - _FIRST_LINE
    return lines[index] if 0 <= index < len(lines) else None
