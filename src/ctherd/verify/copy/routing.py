"""The routes and routing rules of the copy, line by line as ``ip`` lists them."""

import re
from collections.abc import Iterator
from typing import Final

from ctherd import process
from ctherd.verify.copy.batch import Refused, ip_batch
from ctherd.verify.copy.missing import Missing

_FAMILIES: Final = ("-4", "-6")
# Made by the kernel with an interface or its address, so they are in the copy already.
_MADE_BY_THE_KERNEL: Final = re.compile(r"\bproto kernel\b")
# What a listing tells of the moment, and no command takes.
_OF_THE_MOMENT: Final = re.compile(
    r"\b(linkdown|dead|offload|rt_trap|trap|nhid \d+|expires \d+sec|error -?\d+)\b"
)
_RULE: Final = re.compile(r"^(\d+):\s+(.*)$")
_DEFAULT_RULES: Final = frozenset(("0", "32766", "32767"))


def copy_routing(from_fd: int, to_fd: int, missing: Missing) -> None:
    """Copy all routes of all tables, and all rules that choose among tables.

    Raises: CtherdError.
    """
    for family in _FAMILIES:
        rules = list(_rules(from_fd, family))
        for refused in ip_batch(to_fd, rules, family=family):
            missing.add(f"routing rule: {refused.line}: {refused.words}")
        routes = list(_routes(from_fd, family))
        for refused in _all_tried(to_fd, routes, family):
            missing.add(f"route: {refused.line}: {refused.words}")


def _all_tried(to_fd: int, routes: list[str], family: str) -> list[Refused]:
    # One that goes by another cannot be made before it, and the listing has its own order.
    refused = ip_batch(to_fd, routes, family=family)
    return ip_batch(to_fd, [each.line for each in refused], family=family) if refused else []


def _routes(from_fd: int, family: str) -> Iterator[str]:
    for line in _listed(from_fd, family, "route", "show", "table", "all"):
        if not _MADE_BY_THE_KERNEL.search(line):
            yield f"route replace {_OF_THE_MOMENT.sub('', line)}"


def _rules(from_fd: int, family: str) -> Iterator[str]:
    for line in _listed(from_fd, family, "rule", "show"):
        match = _RULE.match(line)
        if match is None or (match[1] in _DEFAULT_RULES and "from all lookup" in match[2]):
            continue
        yield f"rule add pref {match[1]} {match[2].replace('[detached]', '')}"


def _listed(from_fd: int, family: str, *words: str) -> list[str]:
    done = process.run(["ip", family, "-o", *words], netns_fd=from_fd, check=False)
    return [line.replace("\\", " ").strip() for line in done.stdout.splitlines() if line.strip()]
