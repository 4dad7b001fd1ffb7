"""Foreign nf_tables rules that bear on helpers: who assigns one, when, and who switches them off.

What a rule does depends on where its chain is hooked, so jumps are followed first. The
table of effects, for hooks prerouting and output (at any other hook NAT has been decided)::

    priority  ct helper set                  target CT    notrack, target NOTRACK
    < −200    no effect                      first        no helper at all
    = −200    by order of creation: nothing  first        by order of creation: no helper
    < −150    first                          first        no effect: the packet was seen already
    = −150    first, as the younger chain    first        "
    < −100    later than ctherd              –            "
    ≥ −100    after NAT: fragile             –            "
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from ctherd.dataplane import xt
from ctherd.dataplane.finding import Finding, FindingKind, Place, PortRange, Scope, nft_delete
from ctherd.dataplane.nftables import layout
from ctherd.dataplane.reach import reachable
from ctherd.dataplane.rule_scope import Loaded, ScopeReader, port_ranges, protocol_name
from ctherd.dataplane.ruleset import (
    FAMILIES,
    ForeignRule,
    Item,
    Ruleset,
    TableId,
    verdict_chain,
)
from ctherd.netlink import nf_tables as nft
from ctherd.netlink.nf_tables_read import Chain, Expression, HelperObject
from ctherd.netlink.wire import number, text

CONNTRACK: Final = -200
DESTINATION_NAT: Final = -100

_NETDEV: Final = 5
_INGRESS: Final = 5
_EGRESS: Final = 6
_HOOKS: Final = {
    0: "prerouting",
    1: "input",
    2: "forward",
    3: "output",
    4: "postrouting",
    _INGRESS: "ingress",
    _EGRESS: "egress",
}
_BEFORE_ROUTING: Final = (nft.HOOK_PREROUTING, nft.HOOK_OUTPUT)


class Hook(NamedTuple):
    """Where packets enter a chain, directly or by jumps."""

    number: int
    priority: int

    def __str__(self) -> str:
        return f"{_HOOKS.get(self.number, 'another hook')} {self.priority}"


class Assigns(NamedTuple):
    """What a rule assigns. Shape: *native* is an nft object, else the xtables target CT."""

    helper: str
    scope: Scope
    native: bool


def find(ruleset: Ruleset) -> Iterator[Finding]:
    """Yield what the rules of *ruleset* do to helpers."""
    hooks = _hooks(ruleset)
    for rule in ruleset.rules:
        reached = hooks.get((rule.table, rule.chain), ())
        scope, assigned, untracks = _read(ruleset, rule)
        for each in assigned:
            yield from (_assignment(rule, each, hook) for hook in reached or (None,))
        if untracks:
            effective = [hook for hook in reached if _untracks_at(hook)]
            yield from (_untracked(rule, scope, hook) for hook in effective)


# -- where rules are reached from ------------------------------------------------------------------


def _hooks(ruleset: Ruleset) -> Mapping[tuple[TableId, str], tuple[Hook, ...]]:
    jumps: dict[tuple[TableId, str], set[str]] = defaultdict(set)
    for rule in ruleset.rules:
        jumps[rule.table, rule.chain].update(_jumps(ruleset, rule))
    found: dict[tuple[TableId, str], set[Hook]] = defaultdict(set)
    for table, bases in ruleset.bases().items():
        for base in bases.values():
            hook = _hook(table, base)
            for chain in _reached(table, base.name, jumps):
                found[table, chain].add(hook)
    return {place: tuple(sorted(hooks)) for place, hooks in found.items()}


def _hook(table: TableId, base: Chain) -> Hook:
    """Return where *base* is hooked; a netdev table counts its hooks otherwise."""
    at = base.hook or 0
    if table.family == _NETDEV:
        at = _INGRESS if at == 0 else _EGRESS
    return Hook(at, base.priority or 0)


def _reached(table: TableId, base: str, jumps: Mapping[tuple[TableId, str], set[str]]) -> set[str]:
    return reachable(base, lambda name: jumps.get((table, name), ()))


def _jumps(ruleset: Ruleset, rule: ForeignRule) -> Iterator[str]:
    for name, listed in rule.expressions:
        fields = dict(listed)
        if name == "immediate":
            target = verdict_chain(memoryview(fields.get(2, b"")))
            yield from [target] if target else []
        elif name == "lookup" and 3 in fields and number(fields[3]) == 0:
            verdicts = ruleset.items(rule.table, text(fields.get(1, b"")))
            yield from (item.jump for item in verdicts if item.jump)


# -- what a rule does ------------------------------------------------------------------------------


def _read(ruleset: Ruleset, rule: ForeignRule) -> tuple[Scope, list[Assigns], bool]:
    if not any(name in _OF_INTEREST for name, _ in rule.expressions):
        return Scope(), [], False
    reader = ScopeReader(lambda name: ruleset.items(rule.table, name))
    assigned: list[Assigns] = []
    untracks = False
    for expression in rule.expressions:
        name, listed = expression
        if name == "notrack":
            untracks = True
        elif name == "objref":
            assigned += _objects(ruleset, rule.table, reader, dict(listed))
        elif name == "target":
            target = _target(expression)
            untracks |= target.notrack
            if target.helper:
                assigned.append(Assigns(target.helper, reader.scope, native=False))
        else:
            reader.take(expression)
    return reader.scope, assigned, untracks


_OF_INTEREST: Final = frozenset(("notrack", "objref", "target"))


def _target(expression: Expression) -> xt.CtTarget:
    fields = dict(expression[1])
    found = xt.ct_target(text(fields.get(1, b"")), fields.get(3, b""))
    return found or xt.CtTarget(notrack=False, helper="")


def _objects(
    ruleset: Ruleset, table: TableId, reader: ScopeReader, fields: Mapping[int, bytes]
) -> Iterator[Assigns]:
    objects = ruleset.objects.get(table, {})
    if 4 in fields:
        yield from _map(ruleset.items(table, text(fields[4])), objects, reader, fields.get(3))
        return
    named = objects.get(text(fields.get(2, b"")))
    if named is not None and number(fields.get(1, b"")) == nft.OBJECT_CT_HELPER:
        yield _assigns(named, reader.scope, reader.scope.ports)


def _map(
    items: Sequence[Item],
    objects: Mapping[str, HelperObject],
    reader: ScopeReader,
    register: bytes | None,
) -> Iterator[Assigns]:
    by_target: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        by_target[item.target].append(item)
    ends = by_target.pop("", [])
    for target, held in by_target.items():
        if target in objects:
            ports = _ports_of_keys(held, ends, reader, register)
            yield _assigns(objects[target], reader.scope, ports or reader.scope.ports)


def _ports_of_keys(
    held: list[Item], ends: list[Item], reader: ScopeReader, register: bytes | None
) -> tuple[PortRange, ...]:
    """Return the ports that lead to one object, where the key is a port, or protocol and port."""
    if reader.held(register) is Loaded.DESTINATION_PORT:
        return port_ranges([*held, *ends])
    first, second = reader.held(register), reader.held(register, 1)
    if (first, second) != (Loaded.L4_PROTOCOL, Loaded.DESTINATION_PORT):
        return ()
    return port_ranges([item._replace(key=item.key[4:6], last=None) for item in held])


def _assigns(named: HelperObject, scope: Scope, ports: tuple[PortRange, ...]) -> Assigns:
    # The kernel leaves connections of another protocol than the object's alone.
    protocol = protocol_name(named.l4_protocol)
    return Assigns(named.helper, Scope(protocol, ports, scope.interface), native=True)


# -- what comes of it ------------------------------------------------------------------------------


def _assignment(rule: ForeignRule, assigned: Assigns, hook: Hook | None) -> Finding:
    kind, consequence = _effect(assigned, hook)
    where = f"at {hook}" if hook else "in a chain that nothing jumps to"
    return Finding(
        kind=kind,
        place=_place(rule),
        sentence=f"gives helper {assigned.helper} to {assigned.scope} {where}: {consequence}",
        scope=assigned.scope,
        helper=assigned.helper,
        remove=_removal(rule),
    )


def _effect(assigned: Assigns, hook: Hook | None) -> tuple[FindingKind, str]:
    if hook is None:
        return FindingKind.HELPER_WITHOUT_EFFECT, "it has no effect"
    if hook.number not in _BEFORE_ROUTING or hook.priority >= DESTINATION_NAT:
        return (
            FindingKind.HELPER_AFTER_NAT,
            "after destination NAT, where replies that change in length can break",
        )
    if assigned.native and hook.priority == CONNTRACK:
        return (
            FindingKind.HELPER_WITHOUT_EFFECT,
            "at conntrack's own priority, where it does nothing unless conntrack was hooked later",
        )
    if assigned.native and hook.priority < CONNTRACK:
        return (
            FindingKind.HELPER_WITHOUT_EFFECT,
            f"before conntrack ({CONNTRACK}), so it silently does nothing",
        )
    if hook.priority < layout.PRIORITY:
        return FindingKind.HELPER_FIRST, "before ctherd, and the first assignment wins"
    if hook.priority == layout.PRIORITY:
        return FindingKind.HELPER_FIRST, "at ctherd's own priority, where the younger chain wins"
    return FindingKind.HELPER_LATER, "after ctherd, whose assignment wins where both match"


def _untracks_at(hook: Hook) -> bool:
    if hook.number == _INGRESS:
        return True
    return hook.number in _BEFORE_ROUTING and hook.priority <= CONNTRACK


def _untracked(rule: ForeignRule, scope: Scope, hook: Hook) -> Finding:
    return Finding(
        kind=FindingKind.UNTRACKED,
        place=_place(rule),
        sentence=f"keeps {scope} from conntrack at {hook}: no helper can see it",
        scope=scope,
        remove=_removal(rule),
    )


def _place(rule: ForeignRule) -> Place:
    return Place(family_name(rule.table), rule.table.name, rule.chain, rule.handle)


def _removal(rule: ForeignRule) -> str:
    place = (rule.table.name, rule.chain, "handle", str(rule.handle))
    return nft_delete("rule", family_name(rule.table), *place)


def family_name(table: TableId) -> str:
    """Return nft's name of the table's family."""
    return FAMILIES.get(table.family, str(table.family))
