"""What iptables-save and ``-S`` print of the raw table, taken apart into chains and rules.

Both are read, for a restore reads back with ``-S``. A rule stays the text that it is: only those in
our chain are understood further (``rule``).
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_ESCAPED_OR_QUOTE: Final = re.compile(r"\\.|(\")", re.DOTALL)
_COMMENT: Final = re.compile(r"(?:^|\s)--comment (?:\"((?:\\.|[^\"\\])*)\"|(\S+))", re.DOTALL)
_TARGET: Final = re.compile(r"(?:^|\s)-[jg] (\S+)(?:\s|$)")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)


class Listing(NamedTuple):
    """The raw table of one family.

    Shape: *chains* are those that somebody made; *rules* are (chain, what follows it), in order.
    """

    chains: tuple[str, ...] = ()
    rules: tuple[tuple[str, str], ...] = ()

    def rules_of(self, chain: str) -> list[str]:
        """Return the rules in *chain*, in their order."""
        return [rule for place, rule in self.rules if place == chain]


class Counted(NamedTuple):
    """One rule, and what it counted."""

    text: str
    packets: int
    bytes: int


_COUNTED: Final = re.compile(r"\[(\d+):(\d+)\] -A (\S+) (.*)")


def parse_counted(text: str) -> dict[str, list[Counted]]:
    """Return the rules by their chains, as ``iptables-save -c`` prints them."""
    found: dict[str, list[Counted]] = {}
    for line in text.split("\n"):
        match = _COUNTED.fullmatch(line)
        if match is not None:
            packets, octets, chain, rule = match.groups()
            found.setdefault(chain, []).append(Counted(rule, int(packets), int(octets)))
    return found


def parse(text: str) -> Listing:
    """Return what iptables-save, or ``-S``, printed of one table."""
    chains: list[str] = []
    rules: list[tuple[str, str]] = []
    for line in _logical_lines(text):
        if line.startswith(":"):
            name, policy, *_ = line[1:].split(" ")
            chains += [name] if policy == "-" else []
        elif line.startswith("-N "):
            chains.append(line[3:])
        elif line.startswith("-A "):
            chain, _, rule = line[3:].partition(" ")
            rules.append((chain, rule))
    return Listing(tuple(chains), tuple(rules))


def _logical_lines(text: str) -> Iterator[str]:
    """Yield lines; what stands in quotes may hold ends of lines, by which nobody starts a rule."""
    begun = ""
    for line in text.split("\n"):
        begun = f"{begun}\n{line}" if begun else line
        if '"' in begun and begun.startswith("-A ") and _inside_quotes(begun):
            continue
        yield begun
        begun = ""


def _inside_quotes(text: str) -> bool:
    return sum(bool(each[1]) for each in _ESCAPED_OR_QUOTE.finditer(text)) % 2 == 1


def comment_of(rule: str) -> str:
    """Return the first comment of *rule*, "" if it has none."""
    match = _COMMENT.search(rule)
    if match is None:
        return ""
    quoted, plain = match.groups()
    return plain if quoted is None else _ESCAPE.sub(r"\1", quoted)


def target_of(rule: str) -> str:
    """Return where *rule* jumps or goes to, "" if nowhere; nothing in quotes counts."""
    match = _TARGET.search(_unquoted(rule))
    return match[1] if match else ""


def is_verdict_on_everything(rule: str) -> bool:
    """Tell whether nothing that follows *rule* in its base chain is ever reached."""
    without = _COMMENT.sub("", rule).replace("-m comment", "").strip()
    return without in ("-j ACCEPT", "-j DROP", "-j RETURN")


def _unquoted(rule: str) -> str:
    return re.sub(r"\"(?:\\.|[^\"\\])*\"", '""', rule, flags=re.DOTALL) if '"' in rule else rule
