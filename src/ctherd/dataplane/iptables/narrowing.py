"""Rules that narrow what helpers may do, as iptables-save prints them, without their chains.

What narrows assignment stands before our chain, in one of its own to which only PREROUTING jumps:
the kernel takes ``rpfilter`` nowhere else::

    -A PREROUTING -j <chain>n
    -A <chain>n -i qg+ -j RETURN                      # for each interface of not_from
    -A <chain>n -m rpfilter --invert -j RETURN
    -A <chain>n -j <chain>

What narrows related connections stands in the table *security*: the only one that comes after the
usual filters, so that what these accept can still be dropped, and what these drop is not counted::

    -A FORWARD -j <chain>                             # and INPUT
    -A <chain> -m conntrack ! --ctstate RELATED -j RETURN
    -A <chain> -p icmp -j RETURN                      # an error about a connection is related, too
    -A <chain> -p tcp -m tcp --dport 1024:65535 -m helper --helper ftp -j RETURN
    -A <chain> -p udp -m udp --dport 1024:65535 -m helper --helper ftp -j RETURN
    -A <chain> -m helper --helper ftp -j DROP
    -A <chain> -m helper --helper "" -j DROP          # let in by one that is not assigned here

Here ``--helper ""`` is any. All bear our comment, and all count.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from ctherd.dataplane.iptables.names import Names
from ctherd.errors import ConfigurationError
from ctherd.model.catalog import Family, by_name
from ctherd.model.safe_scope import AntiSpoofing, SafeScope, letting_in

SECURITY: Final = "security"
HOOKS: Final = ("FORWARD", "INPUT")

_MOST: Final = 65535
_ICMP: Final = {Family.IPV4: "icmp", Family.IPV6: "ipv6-icmp"}
_SPELLABLE: Final = re.compile(r"[A-Za-z0-9_.:@][A-Za-z0-9_.:@-]*")
_UNQUOTED: Final = re.compile(r"[A-Za-z0-9_-]+")


class Narrowing(NamedTuple):
    """One rule: what it counts in words, "" for nothing of interest, and its *text*."""

    words: str
    text: str


def entry_of(names: Names) -> str:
    """Return the name of the chain that stands before ours, where assignment is narrowed."""
    return f"{names.chain}n"


def check(scope: SafeScope) -> None:
    """Check that iptables can say *scope*.

    Raises: ConfigurationError.
    """
    for each in scope.not_from:
        if not _SPELLABLE.fullmatch(each.removesuffix("*")):
            raise ConfigurationError(
                f"iptables cannot name the interface {each!r}",
                where="policy.scope.not_from",
                cure="call it otherwise; or name the beginning of its name, such as qg-*",
            )


def before_assignment(scope: SafeScope, names: Names) -> tuple[Narrowing, ...]:
    """Return the rules of the chain that stands before ours; none: there is no such chain."""
    if not scope.narrows_assignment:
        return ()
    mark = f"-m comment --comment {names.comment}"
    turned_away = [
        Narrowing(f"no helper: came in by {each}", f"-i {_interface(each)} {mark} -j RETURN")
        for each in scope.not_from
    ]
    return (
        *turned_away,
        *_spoofed(scope.anti_spoofing, mark),
        Narrowing("", f"{mark} -j {names.chain}"),
    )


def _interface(name: str) -> str:
    return f"{name[:-1]}+" if name.endswith("*") else name


def _spoofed(anti_spoofing: AntiSpoofing, mark: str) -> Iterator[Narrowing]:
    if anti_spoofing is AntiSpoofing.STRICT:
        words = "no helper: came in where no answer leaves"
        yield Narrowing(words, f"-m rpfilter --invert {mark} -j RETURN")
    elif anti_spoofing is AntiSpoofing.LOOSE:
        words = "no helper: from an unrouted address"
        yield Narrowing(words, f"-m rpfilter --loose --invert {mark} -j RETURN")


def related(
    scope: SafeScope, names: Names, helpers: Iterable[str], family: Family
) -> tuple[Narrowing, ...]:
    """Return the rules in *security* where *helpers* are assigned; none: there is no such chain."""
    assigned = frozenset(helpers)
    if not scope.related or not assigned:
        return ()
    mark = f"-m comment --comment {names.comment}"
    let_in = [
        rule
        for helper, counts_for in letting_in(assigned).items()
        if family in by_name(counts_for).families
        for rule in _let_in(helper, scope.lowest_port(counts_for), mark)
    ]
    return (
        Narrowing("", f"-m conntrack ! --ctstate RELATED {mark} -j RETURN"),
        Narrowing("", f"-p {_ICMP[family]} {mark} -j RETURN"),
        *let_in,
        Narrowing(
            "dropped: let in by a helper that is not assigned here",
            f'-m helper --helper "" {mark} -j DROP',
        ),
    )


def _let_in(helper: str, lowest_port: int, mark: str) -> Iterator[Narrowing]:
    by_helper = f"-m helper --helper {_spelled(helper)} {mark}"
    if helper == "pptp":
        yield Narrowing(f"{helper}: GRE let in", f"-p gre {by_helper} -j RETURN")
    ports = f"{lowest_port}:{_MOST}" if lowest_port < _MOST else f"{_MOST}"
    words = f"{helper}: let in to port {lowest_port} and above"
    for protocol in ("tcp", "udp"):
        match = f"-p {protocol} -m {protocol} --dport {ports}"
        yield Narrowing(words, f"{match} {by_helper} -j RETURN")
    yield Narrowing(f"{helper}: dropped, below that", f"{by_helper} -j DROP")


def _spelled(helper: str) -> str:
    # As iptables-save does.
    return helper if _UNQUOTED.fullmatch(helper) else f'"{helper}"'
