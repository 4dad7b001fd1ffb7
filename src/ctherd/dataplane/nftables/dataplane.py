"""The nf_tables dataplane: observes and commits over one kept socket per netns.

Two goals pull against each other: what exists must be read from the kernel, and a router with a
thousand assignments must not be read again to add one. The generation reconciles them: what was
read, or committed by us, is true for as long as the generation stands, and while the kernel guards
our table it is true at any generation.
"""

import errno
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from ctherd.dataplane.nftables import layout
from ctherd.dataplane.nftables.commit import KernelFacts, commit
from ctherd.dataplane.nftables.observe import read_contents, read_table
from ctherd.dataplane.nftables.place import Place
from ctherd.dataplane.nftables.probe import can_guard
from ctherd.errors import CtherdError, DataplaneError
from ctherd.model.document import NetnsName
from ctherd.model.observation import Observation, Ownership, Tag, Unchanged
from ctherd.model.safe_scope import WIDE, SafeScope
from ctherd.netlink.dialogue import Dialogue
from ctherd.netlink.nf_tables import TableFlag
from ctherd.netlink.nf_tables_read import Table
from ctherd.netlink.transport import Transport
from ctherd.netns.directory import Namespace
from ctherd.ports import (
    Capabilities,
    Committed,
    Moved,
    Observed,
    ObserveRequest,
    Outcome,
    Transaction,
)


class NamespaceOpener(Protocol):
    """What this dataplane needs of a netns directory."""

    def open(self, name: NetnsName) -> Namespace:
        """Open the netns called *name*."""

    def leads_to(self, namespace: Namespace) -> bool:
        """Tell whether the name of *namespace* still leads to it."""

    def scratch(self) -> Namespace:
        """Open a fresh netns that nobody else sees and that dies when it is closed."""


class NftablesDataplane:
    """Makes assignments true in table ``inet ctherd`` of each netns.

    Shape: *own_table* asks the kernel to refuse everybody else's changes, where it can; *scope*
    narrows what helpers may do;
    *describe_port* turns the netlink address of a table's owner into words.
    """

    def __init__(
        self,
        opener: NamespaceOpener,
        *,
        own_table: bool = True,
        scope: SafeScope = WIDE,
        describe_port: Callable[[NetnsName, int], str] = lambda _, port: f"netlink port {port}",
    ) -> None:
        self._opener = opener
        self._own_table = own_table
        self._scope = WIDE if scope == WIDE else scope
        self._describe_port = describe_port
        self._places: dict[NetnsName, Place] = {}
        self._known: KernelFacts | None = None

    # -- ports.Dataplane -------------------------------------------------------------------------

    def capabilities(self) -> Capabilities:
        """Say what this dataplane can do; the kernel is asked once, in a scratch netns."""
        return Capabilities(guards=self._facts().guards, events=True, destinations=True)

    def identify(self, names: Sequence[NetnsName]) -> list[int | CtherdError]:
        """Return the cookie of the netns that each name leads to now."""
        return [self._identify(name) for name in names]

    def observe(self, requests: Sequence[ObserveRequest]) -> list[Observed]:
        """Return what the kernel says now of each netns."""
        return [self._observe(request) for request in requests]

    def commit(self, transactions: Sequence[Transaction]) -> list[Outcome]:
        """Carry out each transaction atomically."""
        return [self._commit(transaction) for transaction in transactions]

    def release(self, names: Iterable[NetnsName]) -> None:
        """Close the sockets of these netns."""
        for name in names:
            place = self._places.pop(name, None)
            if place is not None:
                place.namespace.close()

    def narrow(self, scope: SafeScope) -> None:
        """Make tables for *scope* from now on; those that there are show as damaged until then."""
        if scope == self._scope:
            return
        self._scope = WIDE if scope == WIDE else scope
        for place in self._places.values():
            place.scope = self._scope
            place.forget()

    def _facts(self) -> KernelFacts:
        if self._known is None:
            self._known = KernelFacts(self._own_table and can_guard(self._opener.scratch()))
        return self._known

    # -- what else the nf_tables side offers -----------------------------------------------------

    def transport(self, name: NetnsName) -> Transport | None:
        """Return the kept transport of an open netns, to put it into safe keeping."""
        place = self._places.get(name)
        return None if place is None else place.namespace.transport

    def dialogue(self, name: NetnsName) -> Dialogue:
        """Return the dialogue with the kernel of a netns, to read more than our table.

        Raises: CtherdError if the netns cannot be opened.
        """
        place = self._open(name)
        if isinstance(place, CtherdError):
            raise place
        return place.dialogue

    def is_absent(self, dialogue: Dialogue, tag: Tag) -> bool:
        """Tell that no table of our name is in the netns of *dialogue*, whoever's it would be.

        Raises: CtherdError; OSError.
        """
        return read_table(dialogue) is None

    def _identify(self, name: NetnsName) -> int | CtherdError:
        place = self._places.get(name)
        if place is not None and not self._opener.leads_to(place.namespace):
            self.release((name,))
            place = None
        opened = place or self._open(name)
        return opened if isinstance(opened, CtherdError) else opened.namespace.cookie

    # -- observing -------------------------------------------------------------------------------

    def _open(self, name: NetnsName) -> Place | CtherdError:
        place = self._places.get(name)
        if place is None:
            try:
                namespace = self._opener.open(name)
            except CtherdError as error:
                return error
            place = Place(namespace, Dialogue(namespace.transport, name), self._scope)
            self._places[name] = place
        return place

    def _observe(self, request: ObserveRequest) -> Observed:
        place = self._places.get(request.netns) or self._open(request.netns)
        if isinstance(place, CtherdError):
            return place
        try:
            generation = place.dialogue.generation()
            # Whoever asks may have been told of an older state than the one that stands.
            if request.known_generation == place.told and self._stands(place, generation):
                return Unchanged(request.netns, generation)
            return self._read(place, request.tag, generation)
        except OSError as error:
            return _transport_error("observe", request.netns, error)
        except CtherdError as error:
            return error

    def _stands(self, place: Place, generation: int) -> bool:
        """Tell whether what is known of our table is still true."""
        if place.ownership is Ownership.FOREIGN:
            return False  # a claim ends with its owner's socket, which begins no generation
        if place.generation == generation:
            return True
        if not place.guarded:
            return False
        table = read_table(place.dialogue)
        if table is None or table.owner != place.namespace.transport.portid:
            return False
        place.generation = generation
        return True

    def _read(self, place: Place, tag: Tag | None, generation: int) -> Observation:
        name = place.namespace.name
        table = read_table(place.dialogue)
        place.generation = place.told = generation
        if table is None:
            place.learn(Ownership.ABSENT, {}, guarded=False)
            return Observation(name, generation, Ownership.ABSENT)
        mark = layout.tag_of(table.comment)
        holder = self._holder(place, table, tag)
        if holder:
            place.learn(Ownership.FOREIGN, {}, guarded=False)
            return Observation(name, generation, Ownership.FOREIGN, holder=holder, mark=mark)
        contents = read_contents(place.dialogue, table, place.scope)
        families = self._facts().families
        families.update(contents.families)
        guarded = table.owner == place.namespace.transport.portid
        place.claimable = TableFlag.PERSIST in table.flags
        place.learn(Ownership.OURS, contents.live, guarded=guarded)
        return Observation(
            name,
            generation,
            Ownership.OURS,
            contents.live,
            tuple(contents.damage),
            guarded,
            mark=mark,
            families=families,
        )

    def _holder(self, place: Place, table: Table, tag: Tag | None) -> str:
        """Say who has our place, or "" if we do."""
        if table.owner and table.owner != place.namespace.transport.portid:
            who = self._describe_port(place.namespace.name, table.owner)
            return f"table inet {layout.TABLE} is claimed by {who}"
        found = layout.tag_of(table.comment)
        if tag is not None and found == tag:
            return ""
        if found:
            return f"table inet {layout.TABLE} bears the mark {found}, which is not ours here"
        return f"table inet {layout.TABLE} does not bear our mark"

    # -- committing ------------------------------------------------------------------------------

    def _commit(self, transaction: Transaction) -> Outcome:
        place = self._places.get(transaction.netns)
        if place is None or place.ownership is Ownership.FOREIGN:
            return Moved(transaction.netns)
        if place.generation != transaction.generation and not place.guarded:
            return Moved(transaction.netns)
        try:
            outcome = commit(place, transaction, self._facts())
            if isinstance(outcome, Committed):
                place.told = outcome.generation
            return outcome
        except OSError as error:
            return _transport_error("commit", transaction.netns, error)
        except CtherdError as error:
            return error


def _transport_error(operation: str, netns: NetnsName, error: OSError) -> DataplaneError:
    return DataplaneError(operation, netns=netns, errno=error.errno or errno.EIO)
