"""Makes the copy of a router, in the order in which one thing needs another, and reads it back."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import Final

from ctherd.dataplane.nftables import layout, render
from ctherd.dataplane.nftables.observe import read_contents, read_table
from ctherd.dataplane.rule_facts import Facts, read_facts
from ctherd.errors import CtherdError, DataplaneError
from ctherd.lab.namespace import Namespace
from ctherd.model.safe_scope import SafeScope
from ctherd.netlink.dialogue import Dialogue
from ctherd.netlink.nf_tables import TableFlag
from ctherd.netlink.socket import NetlinkSocket
from ctherd.netns.enter import entered
from ctherd.verify.copy import compare, nft, xtables
from ctherd.verify.copy.anonymous import make_namespace
from ctherd.verify.copy.interfaces import Link
from ctherd.verify.copy.links import bring_up, make_links
from ctherd.verify.copy.missing import Missing
from ctherd.verify.copy.neighbourhood import Neighbourhood
from ctherd.verify.copy.routing import copy_routing
from ctherd.verify.copy.sysctls import copy_sysctls

_OURS: Final = ("inet", layout.TABLE)
_RAW_PRIORITY: Final = -300


@dataclass(frozen=True, slots=True)
class Copy:
    """The copy. Shape: *beyond* has who is beyond each interface that was asked for, by name."""

    router: Namespace
    beyond: Mapping[str, Neighbourhood]
    missing: tuple[str, ...]
    _stack: ExitStack
    _beside: dict[str, Neighbourhood] = field(default_factory=dict)

    def beside(self, interface: str) -> Neighbourhood:
        """Return somebody else beyond *interface*, who reaches his neighbour by the router only.

        Raises: OSError.
        """
        if interface not in self._beside:
            fresh = Neighbourhood(make_namespace(self._stack))
            fresh.prepare()
            self.beyond[interface].join(fresh)
            self._beside[interface] = fresh
        return self._beside[interface]


@contextmanager
def copied(
    netns_fd: int, links: Collection[Link], used: Collection[str], scope: SafeScope
) -> Iterator[Copy]:
    """Copy the router of *netns_fd*, whose *links* are read already, until the context ends.

    Shape: *used* are the interfaces that shall have somebody beyond them; *scope* is what our own
    table was made for.
    Raises: CtherdError, OSError if there is no copy to be had at all.
    """
    missing = Missing()
    with ExitStack() as stack:
        router = make_namespace(stack)
        beyond = {name: Neighbourhood(make_namespace(stack)) for name in used}
        here = stack.enter_context(router.opened())
        _copy_net(netns_fd, here, links, beyond, make_namespace(stack), missing)
        _copy_rules(netns_fd, here, scope, missing)
        yield Copy(router, beyond, missing.listed(), stack)


def _copy_net(
    there: int,
    here: int,
    links: Collection[Link],
    beyond: Mapping[str, Neighbourhood],
    nowhere: Namespace,
    missing: Missing,
) -> None:
    for each in beyond.values():
        each.prepare()
    neighbours = {name: each.namespace for name, each in beyond.items()}
    make_links(here, links, neighbours, nowhere, missing)
    copy_sysctls(there, here, missing)
    bring_up(here, links, missing)
    for each in beyond.values():
        each.connect()
    copy_routing(there, here, missing)


def _copy_rules(there: int, here: int, scope: SafeScope, missing: Missing) -> None:
    xtables.copy_ipsets(there, here, missing)
    xtables.copy_legacy(there, here, missing)
    saved = xtables.save_nft(there, missing)
    with _dialogue(there) as original, _dialogue(here) as copied_to:
        # The younger of two chains at one priority comes first, so each is made in its turn.
        for table in nft.tables(original):
            if table == _OURS:
                _copy_ours(original, copied_to, scope, missing)
            elif table in saved:
                xtables.restore_nft(here, table, saved[table], missing)
            else:
                nft.copy_table(there, here, table, missing)
        facts = read_facts(original)
        compare.compare_nft(facts, read_facts(copied_to), saved, missing)
    compare.compare_saved(saved, xtables.save_nft(here, missing), missing)
    compare.compare_legacy(there, here, missing)
    if "raw" in xtables.legacy_tables(there) and _at_the_raw_priority(facts):
        missing.add(
            "which comes first at priority -300, iptables-legacy or nf_tables, is not known"
        )


def _at_the_raw_priority(facts: Facts) -> bool:
    """Tell whether nf_tables has a chain where the raw tables of iptables-legacy are.

    Of two hooks at one priority the younger comes first, and nobody tells their age.
    """
    return any(
        priority == _RAW_PRIORITY
        for table in facts.values()
        for _, priority, *_ in table.chains.values()
    )


@contextmanager
def _dialogue(netns_fd: int) -> Iterator[Dialogue]:
    with entered(netns_fd):
        transport = NetlinkSocket()
    with closing(transport):
        yield Dialogue(transport, "")


def _copy_ours(there: Dialogue, here: Dialogue, scope: SafeScope, missing: Missing) -> None:
    """Make our table from what the kernel shows of it, which need not be what anybody planned."""
    table = read_table(there)
    if table is None:
        return
    contents = read_contents(there, table, scope)
    for words in contents.damage:
        missing.add(f"our own table: {words}")
    tag = layout.tag_of(table.comment)
    try:
        steps = render.create(contents.live, tag, TableFlag(0), scope, one_by_one=False)
        errors = here.commit([each.request for each in steps], None) if contents.live else []
        for each in errors:
            missing.add(f"our own table: {each.in_words}")
    except (CtherdError, DataplaneError) as error:
        missing.add(f"our own table: {error}")
