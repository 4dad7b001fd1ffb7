"""The iptables dataplane: observes by iptables-save, commits by iptables-restore, per netns.

What exists is read from the kernel each time, except where the kernel says that nothing has changed
since (iptables-nft: the generation). Nothing is believed to be done before it was read back.
"""

import errno
import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol

from ctherd.dataplane.iptables import narrowing
from ctherd.dataplane.iptables.change import Line
from ctherd.dataplane.iptables.commit import Commit
from ctherd.dataplane.iptables.guarding import read_security
from ctherd.dataplane.iptables.kernel import Kernel, kernel_of
from ctherd.dataplane.iptables.listing import Listing
from ctherd.dataplane.iptables.lock import XtablesLock
from ctherd.dataplane.iptables.names import Names, names_of, tag_of
from ctherd.dataplane.iptables.observe import marked_chains
from ctherd.dataplane.iptables.place import Place
from ctherd.dataplane.iptables.variant import Variant
from ctherd.errors import CtherdError, DataplaneError
from ctherd.model.catalog import Family
from ctherd.model.document import NetnsName
from ctherd.model.observation import Observation, Tag, Unchanged
from ctherd.model.safe_scope import WIDE, SafeScope
from ctherd.netlink.dialogue import Dialogue
from ctherd.netlink.transport import Transport
from ctherd.netns.directory import Namespace
from ctherd.ports import (
    Capabilities,
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

    def open_fd(self, name: NetnsName) -> int:
        """Open the file that stands for it; the caller closes it."""

    def leads_to(self, namespace: Namespace) -> bool:
        """Tell whether the name of *namespace* still leads to it."""


class IptablesDataplane:
    """Makes assignments true by rules in the raw tables of *variant*."""

    def __init__(
        self, opener: NamespaceOpener, variant: Variant, *, lock: XtablesLock | None = None
    ) -> None:
        self.variant = variant
        self._opener = opener
        self._kernel: Kernel = kernel_of(variant, lock or XtablesLock())
        self._places: dict[NetnsName, Place] = {}
        self._scope = WIDE

    # -- ports.Dataplane -------------------------------------------------------------------------

    def capabilities(self) -> Capabilities:
        """Say what this variant can do: nobody guards a chain, and only nf_tables has events."""
        return Capabilities(guards=False, events=self._kernel.tells_changes, destinations=True)

    def identify(self, names: Sequence[NetnsName]) -> list[int | CtherdError]:
        """Return the cookie of the netns that each name leads to now."""
        return [self._identify(name) for name in names]

    def observe(self, requests: Sequence[ObserveRequest]) -> list[Observed]:
        """Return what the kernel says now of each netns."""
        return [self._observe(request) for request in requests]

    def commit(self, transactions: Sequence[Transaction]) -> list[Outcome]:
        """Carry out each transaction, family by family, and read back what came of it."""
        return [self._commit(transaction) for transaction in transactions]

    def release(self, names: Iterable[NetnsName]) -> None:
        """Let go of these netns."""
        for name in names:
            place = self._places.pop(name, None)
            if place is not None:
                place.close()

    # -- what else is read of a netns ------------------------------------------------------------

    def dialogue(self, name: NetnsName) -> Dialogue:
        """Return the dialogue with the nf_tables of a netns, to read more than our chain.

        Raises: CtherdError if the netns cannot be opened.
        """
        return self._open(name).dialogue

    def transport(self, name: NetnsName) -> Transport | None:
        """Return the kept transport of a netns, None if it is not open."""
        place = self._places.get(name)
        return None if place is None else place.namespace.transport

    def narrow(self, scope: SafeScope) -> None:
        """Make places for *scope* from now on; those that there are show as damaged until then.

        Raises: ConfigurationError if iptables cannot say it.
        """
        narrowing.check(scope)
        if scope == self._scope:
            return
        self._scope = scope
        for place in self._places.values():
            place.scope = scope
            place.stale = True

    def is_absent(self, dialogue: Dialogue, tag: Tag) -> bool:
        """Tell, without running a program, that nothing with *tag* is in the netns of *dialogue*.

        Raises: CtherdError; OSError.
        """
        open_fd = partial(self._opener.open_fd, NetnsName(dialogue.netns))
        return self._kernel.lacks_all(dialogue, open_fd, names_of(tag))

    def tables(self, name: NetnsName) -> dict[Family, Listing]:
        """Return the raw tables of a netns as they are, whoever made what is in them.

        Raises: CtherdError; OSError.
        """
        place = self._open(name)
        return {family: self._table(place, family) for family in Family}

    def marks(self, name: NetnsName) -> list[Tag]:
        """Return the tags of all places in a netns that some ctherd may have made.

        Raises: CtherdError; OSError.
        """
        found = (each for table in self.tables(name).values() for each in marked_chains(table))
        return list(dict.fromkeys(map(tag_of, found)))

    def change(
        self, name: NetnsName, family: Family, plan: Callable[[Listing], Sequence[Line]]
    ) -> None:
        """Change what is not ours: carry out what *plan* makes of the raw table as it is now.

        Raises: CtherdError, also from *plan*; OSError.
        """
        place = self._open(name)
        with self._kernel.alone():
            lines = plan(self._table(place, family))
            answer = self._kernel.programs.restore(place.netns_fd, family, lines)
        if not isinstance(answer, Listing):
            program = self.variant.program(family, "restore")
            raise DataplaneError(
                program, netns=name, errno=answer.refusal.errno, words=answer.words
            )

    def _table(self, place: Place, family: Family) -> Listing:
        if not self._kernel.has_table(place, family):
            return Listing()
        return self._kernel.programs.save(place.netns_fd, family)

    # -- places ----------------------------------------------------------------------------------

    def _identify(self, name: NetnsName) -> int | CtherdError:
        place = self._places.get(name)
        if place is not None and not self._opener.leads_to(place.namespace):
            self.release((name,))
        try:
            return self._open(name).namespace.cookie
        except CtherdError as error:
            return error

    def _open(self, name: NetnsName) -> Place:
        place = self._places.get(name)
        if place is not None:
            return place
        namespace = self._opener.open(name)
        try:
            netns_fd = self._opener.open_fd(name)
        except BaseException:
            namespace.close()
            raise
        place = Place(namespace, Dialogue(namespace.transport, name), netns_fd, scope=self._scope)
        if os.fstat(netns_fd).st_ino != namespace.inode:
            place.close()
            raise DataplaneError(
                "open the network namespace", netns=name, errno=errno.ESTALE,
                words="the name was given to another one meanwhile",
            )  # fmt: skip
        self._places[name] = place
        return place

    # -- observing -------------------------------------------------------------------------------

    def _observe(self, request: ObserveRequest) -> Observed:
        try:
            return self._look(request)
        except CtherdError as error:
            return error
        except OSError as error:
            return _translated("observe", request.netns, error)

    def _look(self, request: ObserveRequest) -> Observed:
        place = self._open(request.netns)
        names = None if request.tag is None else names_of(request.tag)
        known = request.known_generation is not None and not place.stale and place.names == names
        generation = self._kernel.generation(place)
        if known and generation and place.generation == generation:
            return Unchanged(request.netns, generation)
        changed = self._read(place, names)
        if known and not generation and not changed:
            return Unchanged(request.netns, place.generation)
        place.generation = generation or place.generation + changed
        place.stale = False
        place.understand(names)
        return _observation(place)

    def _read(self, place: Place, names: Names | None) -> bool:
        """Read both raw tables; tell whether anything is other than it was."""
        to_read = [each for each in Family if not self._kernel.lacks_ours(place, each, names)]
        found: dict[Family, Listing | CtherdError] = dict.fromkeys(Family, Listing())
        if to_read:
            found |= self._kernel.programs.save_all(place.netns_fd, to_read)
        listings = {family: each for family, each in found.items() if isinstance(each, Listing)}
        errors = {family: each for family, each in found.items() if isinstance(each, CtherdError)}
        if not listings:
            raise errors[Family.IPV4]
        unread = {family: str(error) for family, error in errors.items()}
        security = read_security(self._kernel, place, names, listings) if names else {}
        now = listings, unread, security
        changed = place.stale or now != (place.listings, place.unread, place.security)
        place.learn(listings, unread)
        place.security = security
        return changed

    # -- committing ------------------------------------------------------------------------------

    def _commit(self, transaction: Transaction) -> Outcome:
        place = self._places.get(transaction.netns)
        if place is None or place.stale or place.generation != transaction.generation:
            return Moved(transaction.netns)
        try:
            return Commit(self._kernel, place, transaction).carry_out()
        except CtherdError as error:
            place.stale = True
            return error
        except OSError as error:
            place.stale = True
            return _translated("commit", transaction.netns, error)


def _translated(operation: str, netns: NetnsName, error: OSError) -> DataplaneError:
    return DataplaneError(operation, netns=netns, errno=error.errno or errno.EIO)


def _observation(place: Place) -> Observation:
    contents = place.contents
    return Observation(
        netns=place.namespace.name,
        generation=place.generation,
        ownership=contents.ownership,
        live=contents.live,
        damage=contents.damage,
        holder=contents.holder,
        mark=contents.mark,
        families=contents.families,
    )
