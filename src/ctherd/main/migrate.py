"""Takes over what another tool assigned: made by us first, and only then removed from there."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from ctherd.dataplane import neutron
from ctherd.dataplane.iptables.change import Line
from ctherd.dataplane.iptables.dataplane import IptablesDataplane
from ctherd.dataplane.iptables.listing import Listing
from ctherd.dataplane.iptables.variant import Variant
from ctherd.dataplane.neutron import Found
from ctherd.errors import Contended, CtherdError
from ctherd.main.wiring import Host
from ctherd.model.assignment import AssignmentKey
from ctherd.model.catalog import Family
from ctherd.model.document import Document, NetnsName
from ctherd.service.host_answers import worked

Variants = Mapping[Variant, IptablesDataplane]


class Inherited(NamedTuple):
    """What Neutron's extension left in one family of one variant of one netns."""

    variant: Variant
    family: Family
    found: Found


def migrate_from_neutron(
    host: Host, documents: Sequence[Document], *, really: bool
) -> list[dict[str, Any]]:
    """Return, for each netns with chains of Neutron's, what is taken over; with *really*, do it.

    A netns is left alone as long as something is assigned there that its document does not declare:
    nobody shall lose a helper by this.
    """
    by_netns = {each.netns: each for each in documents}
    variants = {each: IptablesDataplane(host.directory, each) for each in Variant}
    answers = []
    for netns in dict.fromkeys((*by_netns, *host.directory.names())):
        try:
            inherited = list(search(variants, netns))
        except (CtherdError, OSError) as error:
            if netns in by_netns:
                answers.append(_answer(netns, [], error=str(error)))
            continue
        if inherited:
            document = by_netns.get(netns)
            answers.append(_take_over(host, variants, netns, document, inherited, really=really))
        for variant in variants.values():
            variant.release([netns])
    return answers


def search(variants: Variants, netns: NetnsName) -> Iterator[Inherited]:
    """Yield what Neutron's extension left in *netns*.

    Raises: CtherdError; OSError.
    """
    for variant, dataplane in variants.items():
        for family, table in dataplane.tables(netns).items():
            found = neutron.find(table)
            if found.chains:
                yield Inherited(variant, family, found)


def _take_over(
    host: Host,
    variants: Variants,
    netns: NetnsName,
    document: Document | None,
    inherited: Sequence[Inherited],
    *,
    really: bool,
) -> dict[str, Any]:
    obstacle = _obstacle(document, inherited)
    if obstacle or not really or document is None:
        return _answer(netns, inherited, error=obstacle)
    made = host.service.apply([document], partial=True, confirmed=True)
    ours = [each for each in made["routers"] if each["netns"] == netns]
    if not worked({"routers": ours}) or not _all_live(host, netns, inherited):
        return _answer(netns, inherited, error="not everything could be made: nothing was removed")
    try:
        for each in inherited:
            variants[each.variant].change(netns, each.family, partial(removal, netns, each.found))
    except (CtherdError, OSError) as error:
        return _answer(netns, inherited, error=str(error))
    return _answer(netns, inherited, done=True)


def _obstacle(document: Document | None, inherited: Sequence[Inherited]) -> str:
    unknown = [rule for each in inherited for rule in each.found.unknown]
    if unknown:
        return f"its chains hold a rule that Neutron does not write: {unknown[0]}"
    if document is None:
        return "no router is declared for it"
    undeclared = [str(key) for key in _assignments(inherited) if key not in document.desired]
    if undeclared:
        return f"not declared: {', '.join(undeclared)}; declare it, or delete it in Neutron"
    return ""


def _assignments(inherited: Sequence[Inherited]) -> list[AssignmentKey]:
    return list(dict.fromkeys(key for each in inherited for key in each.found.assignments))


def _all_live(host: Host, netns: NetnsName, inherited: Sequence[Inherited]) -> bool:
    entry = host.service.reconciler.entries[netns]
    return entry.observed is not None and all(
        key in entry.observed.live for key in _assignments(inherited)
    )


def removal(netns: NetnsName, found: Found, table: Listing) -> list[Line]:
    """Return what removes *found* from *table*.

    Raises: Contended if the extension has changed it meanwhile: it is still at work.
    """
    if neutron.find(table) != found:
        raise Contended(
            "somebody changes Neutron's chains while they are taken over",
            where=netns,
            cure="disable the extension conntrack_helper of the L3 agent first",
        )
    return list(neutron.removal(table, found))


def _answer(
    netns: NetnsName, inherited: Sequence[Inherited], *, done: bool = False, error: str = ""
) -> dict[str, Any]:
    return {
        "netns": netns,
        "assignments": [str(key) for key in _assignments(inherited)],
        "chains": [
            {"variant": each.variant.value, "family": each.family.value, "chain": chain}
            for each in inherited
            for chain in each.found.chains
        ],
        "done": done,
        "error": error,
    }
