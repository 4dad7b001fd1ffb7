"""What differs between the variants: whether a raw table is there, and how to see that it changed.

With nf_tables, netlink tells both without running a program: the generation stands still for as
long as nobody commits. The old tables tell neither, so they are read again, and *we* count
generations; writers take turns by a lock that is the whole host's.
"""

import errno
import os
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Final, Protocol

from ctherd.dataplane.iptables.lock import XtablesLock
from ctherd.dataplane.iptables.names import Names, looks_like_ours
from ctherd.dataplane.iptables.narrowing import SECURITY
from ctherd.dataplane.iptables.place import Place
from ctherd.dataplane.iptables.programs import Programs
from ctherd.dataplane.iptables.variant import TABLE, Variant
from ctherd.errors import DataplaneError
from ctherd.model.catalog import Family
from ctherd.netlink import nf_tables as nft
from ctherd.netlink import nf_tables_read as read
from ctherd.netlink.dialogue import Dialogue, Order, Question
from ctherd.netlink.nf_tables import Operation
from ctherd.netns.enter import entered

_NFPROTO: Final = {Family.IPV4: nft.NFPROTO_IPV4, Family.IPV6: nft.NFPROTO_IPV6}
_NAMES: Final = {Family.IPV4: "ip_tables_names", Family.IPV6: "ip6_tables_names"}
_NAMES_BYTES: Final = 4096
"""More than the names of all tables take, a handful of words."""

_MOST: Final = 0xFFFFFFFF
_GETCHAIN: Final = nft.kind(Operation.GETCHAIN)


class Kernel(Protocol):
    """One variant's view of the kernel."""

    @property
    def programs(self) -> Programs:
        """The programs of this variant."""

    @property
    def tells_changes(self) -> bool:
        """True if the kernel counts generations, and announces them."""

    def has_table(self, place: Place, family: Family) -> bool:
        """Tell, without running a program, whether there is a raw table at all."""

    def lacks_ours(self, place: Place, family: Family, names: Names | None) -> bool:
        """Tell, without running a program, whether our chain is known not to be there.

        Shape: *names* None asks for any chain that a ctherd may have made.
        """

    def may_guard(self, place: Place, family: Family, names: Names) -> bool:
        """Tell, without running a program, whether our chain may be in the table security."""

    def lacks_all(self, dialogue: Dialogue, open_fd: Callable[[], int], names: Names) -> bool:
        """Tell, without running a program, whether nothing of ours is known to be in any table.

        Shape: *dialogue* is with the nf_tables of the netns that *open_fd* opens.
        """

    def generation(self, place: Place) -> int:
        """Return the generation that the ruleset is at; 0 where only reading it tells."""

    def alone(self) -> AbstractContextManager[None]:
        """Keep other writers out, where that can be done.

        Raises: LockHeld; DataplaneError.
        """


class NftKernel:
    """iptables-nft: a front of nf_tables."""

    programs = Programs(Variant.NFT)
    tells_changes = True

    def has_table(self, place: Place, family: Family) -> bool:
        """Ask nf_tables."""
        return has_nft_table(place.dialogue, family)

    def lacks_ours(self, place: Place, family: Family, names: Names | None) -> bool:
        """Ask nf_tables."""
        if names is not None:
            chain = nft.chain_name(TABLE, names.chain)
            return not _exists(place.dialogue, Operation.GETCHAIN, family, chain)
        chains = Question(_GETCHAIN, _NFPROTO[family], b"", "GETCHAIN")
        found = map(read.chain, place.dialogue.dump_any(chains))
        return not any(each.table == TABLE and looks_like_ours(each.name) for each in found)

    def may_guard(self, place: Place, family: Family, names: Names) -> bool:
        """Ask nf_tables."""
        chain = nft.chain_name(SECURITY, names.chain)
        return _exists(place.dialogue, Operation.GETCHAIN, family, chain)

    def lacks_all(self, dialogue: Dialogue, open_fd: Callable[[], int], names: Names) -> bool:
        """Ask for each of our chains, for all of them at once."""
        chains = [
            Order(_GETCHAIN, nfproto, nft.chain_name(table, names.chain))
            for nfproto in _NFPROTO.values()
            for table in (TABLE, SECURITY)
        ]
        errors = dialogue.carry_out_each(chains)
        return all(at in errors and errors[at].errno == errno.ENOENT for at in range(len(chains)))

    def generation(self, place: Place) -> int:
        """Ask nf_tables."""
        return place.dialogue.generation()

    def alone(self) -> AbstractContextManager[None]:
        """There is no lock: whether somebody came in between is seen by the generation."""
        return nullcontext()


class LegacyKernel:
    """iptables-legacy: tables of their own, which other tools do not see."""

    tells_changes = False

    def __init__(self, lock: XtablesLock) -> None:
        self._lock = lock

    @property
    def programs(self) -> Programs:
        """Programs that do not wait for the lock, because we hold it."""
        return Programs(Variant.LEGACY, self._lock.environment)

    def has_table(self, place: Place, family: Family) -> bool:
        """Ask the file that lists tables; reading the table itself would make one."""
        return has_legacy_table(place.netns_fd, family)

    def lacks_ours(self, place: Place, family: Family, names: Names | None) -> bool:
        """Where there is a table, nothing but its program tells."""
        return not self.has_table(place, family)

    def may_guard(self, place: Place, family: Family, names: Names) -> bool:
        """Where there is such a table, nothing but its program tells."""
        return has_legacy_table(place.netns_fd, family, table=SECURITY)

    def lacks_all(self, dialogue: Dialogue, open_fd: Callable[[], int], names: Names) -> bool:
        """Where there is such a table, nothing but its program tells."""
        netns_fd = open_fd()
        try:
            return not has_any_legacy_table(netns_fd, (TABLE, SECURITY))
        finally:
            os.close(netns_fd)

    def generation(self, place: Place) -> int:
        """There is none."""
        return 0

    def alone(self) -> AbstractContextManager[None]:
        """Hold the lock."""
        return self._lock.held()


def after(generation: int, commits: int) -> int:
    """Return the generation that *commits* more lead to, if nobody else commits."""
    for _ in range(commits):
        generation = generation % _MOST + 1
    return generation


def has_nft_table(dialogue: Dialogue, family: Family) -> bool:
    """Tell whether nf_tables has a raw table of *family*.

    Raises: DataplaneError; OSError.
    """
    return _exists(dialogue, Operation.GETTABLE, family, nft.table_name(TABLE))


def _exists(dialogue: Dialogue, operation: Operation, family: Family, body: bytes) -> bool:
    question = Question(nft.kind(operation), _NFPROTO[family], body, operation.name)
    try:
        dialogue.ask_any(question)
    except DataplaneError as error:
        if error.errno != errno.ENOENT:
            raise
        return False
    return True


def has_legacy_table(
    netns_fd: int, family: Family, proc: Path = Path("/proc"), table: str = TABLE
) -> bool:
    """Tell whether iptables-legacy has a table of *family* in the netns, by default raw.

    Raises: OSError if the netns may not be entered.
    """
    with entered(netns_fd):
        return table in _legacy_tables(family, proc)


def has_any_legacy_table(
    netns_fd: int, tables: Collection[str] = (TABLE,), proc: Path = Path("/proc")
) -> bool:
    """Tell whether iptables-legacy has one of *tables* of any family in the netns.

    Raises: OSError if the netns may not be entered.
    """
    with entered(netns_fd):
        return any(not _legacy_tables(family, proc).isdisjoint(tables) for family in Family)


def _legacy_tables(family: Family, proc: Path) -> frozenset[str]:
    """Return the names of the tables of *family* in the netns of this thread."""
    try:
        names_fd = os.open(f"{proc}/thread-self/net/{_NAMES[family]}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        # No such file: this kernel was built without iptables-legacy.
        return frozenset()
    try:
        # Not by an open file of Python's, which takes several times as long as the kernel.
        return frozenset(os.read(names_fd, _NAMES_BYTES).decode().split())
    finally:
        os.close(names_fd)


def kernel_of(variant: Variant, lock: XtablesLock) -> Kernel:
    """Return the view of the kernel that *variant* has."""
    kernels: Mapping[Variant, Kernel] = {
        Variant.NFT: NftKernel(),
        Variant.LEGACY: LegacyKernel(lock),
    }
    return kernels[variant]
