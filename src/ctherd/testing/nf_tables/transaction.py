"""One transaction: works on copies of the tables it touches, and is taken whole or thrown away."""

import errno
from dataclasses import dataclass, field

from ctherd.testing.helper_matrix import HelperMatrix
from ctherd.testing.modules import FakeModules
from ctherd.testing.nf_tables.state import Ruleset, Set, Table, TableFlag, TableKey
from ctherd.testing.refusal import Refused
from ctherd.testing.wire import Attribute, Attributes


@dataclass(frozen=True, slots=True)
class Abilities:
    """What this kernel was built with."""

    persist: bool
    helpers: HelperMatrix
    modules: FakeModules | None = None


_SetIdentity = tuple[int, int]
"""(handle of the table, handle of the set): a name may mean another set later in a batch."""


@dataclass(slots=True)
class Transaction:
    """The next state of a ruleset, seen by the messages of one batch.

    Shape: *effective* becomes true with the first change that makes the kernel begin a new
    generation.
    """

    ruleset: Ruleset
    portid: int
    abilities: Abilities
    effective: bool = False
    _declared_sets: list[tuple[int, _SetIdentity]] = field(default_factory=list)
    _unsettled: set[int] = field(default_factory=set)
    _tables: dict[TableKey, Table] = field(init=False)
    _copied: set[TableKey] = field(default_factory=set)
    _last_handle: int = field(init=False)

    def __post_init__(self) -> None:
        self._tables = dict(self.ruleset.tables)
        self._last_handle = self.ruleset.last_handle

    def commit(self) -> bool:
        """Make this the state of the ruleset; return whether that began a new generation."""
        self.ruleset.last_handle = self._last_handle
        if not self.effective:
            return False
        self.ruleset.tables = self._tables
        self.ruleset.bump()
        return True

    # -- tables ------------------------------------------------------------------------------------

    def find(self, key: TableKey) -> Table | None:
        """Return a table to read."""
        return self._tables.get(key)

    def touch(self, key: TableKey) -> Table:
        """Return a table to write; the transaction takes effect."""
        self.effective = True
        return self._draft(key)

    def _draft(self, key: TableKey) -> Table:
        if key not in self._copied:
            self._tables[key] = self._tables[key].copy()
            self._copied.add(key)
        return self._tables[key]

    def add(self, table: Table) -> None:
        """Add a new table."""
        self.effective = True
        self._tables[table.key] = table
        self._copied.add(table.key)

    def remove(self, key: TableKey) -> None:
        """Remove a table with all that is in it."""
        self.effective = True
        del self._tables[key]

    def keys(self, family: int) -> list[TableKey]:
        """List the tables of *family*; 0 is all."""
        return [key for key in self._tables if family in (0, key[0])]

    def unsettle(self, table: Table) -> None:
        """Note a change after which the flags of *table* cannot change in this batch."""
        self._unsettled.add(table.handle)

    def check_settled(self, table: Table) -> None:
        """Refuse to change the flags of *table* behind such a change.

        Raises: Refused, EINVAL.
        Source: nft_table_pending_update in nf_tables_api.c.
        """
        if table.handle in self._unsettled:
            raise Refused(errno.EINVAL)

    def next_table_handle(self) -> int:
        """Return a handle that no table had before."""
        self._last_handle += 1
        return self._last_handle

    def writable(self, family: int, attributes: Attributes) -> Table:
        """Return the table that attribute 1 names, if this process may change it.

        Raises: Refused, EINVAL without a name, ENOENT, or EPERM if another process owns it.
        """
        name = required(attributes, 1)[0]
        table = self.find((family, name.text))
        if table is None:
            raise Refused(errno.ENOENT, at=name)
        if self.owned_by_another(table):
            raise Refused(errno.EPERM, at=name)
        return table

    def owned_by_another(self, table: Table) -> bool:
        """Tell whether somebody else's open socket guards *table*."""
        return TableFlag.OWNER in table.flags and table.owner != self.portid

    # -- sets --------------------------------------------------------------------------------------

    def declare_set(self, table: TableKey, declared: Set, set_id: int) -> None:
        """Note that the batch declared a set, and the id by which it may mean it.

        Shape: *set_id* 0 is that of every set which was there already.
        Source: __nft_trans_set_add in nf_tables_api.c, which keeps no id with an update.
        """
        self._declared_sets.append((set_id, (self._tables[table].handle, declared.handle)))

    def find_set(self, table: TableKey, name: str, set_id: int | None) -> Set | None:
        """Return a set by name, else the last one that the batch declared with this id.

        Source: nft_set_lookup_global.
        """
        found = self._tables[table]
        if name in found.sets:
            return found.sets[name]
        present = {(found.handle, each.handle): each for each in found.sets.values()}
        for declared_id, identity in reversed(self._declared_sets):
            if declared_id == set_id and identity in present:
                return present[identity]
        return None


def required(attributes: Attributes, *kinds: int) -> list[Attribute]:
    """Return the attributes of these kinds.

    Raises: Refused (EINVAL) if one is missing.
    """
    if any(kind not in attributes for kind in kinds):
        raise Refused(errno.EINVAL)
    return [attributes[kind] for kind in kinds]
