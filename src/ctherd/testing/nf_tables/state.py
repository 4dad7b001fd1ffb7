"""What a ruleset is made of: plain values, and copies that a transaction can throw away."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import IntFlag
from typing import Final

CT_HELPER: Final = 3


class TableFlag(IntFlag):
    """Flags of a table."""

    DORMANT = 1
    OWNER = 2
    PERSIST = 4


class SetFlag(IntFlag):
    """Flags of a set."""

    ANONYMOUS = 1
    CONSTANT = 2
    INTERVAL = 4
    MAP = 8
    TIMEOUT = 16
    EVALUATE = 32
    OBJECT = 64
    CONCATENATION = 128
    EXPRESSION = 256


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: *expressions* as they are dumped, and the names that they refer to."""

    handle: int
    expressions: bytes
    userdata: bytes | None
    maps: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    chains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hook:
    """Where a base chain sits."""

    number: int
    priority: int
    kind: str
    policy: int


@dataclass(frozen=True, slots=True)
class Chain:
    """One chain; *hook* is None for a regular one."""

    name: str
    handle: int
    hook: Hook | None
    userdata: bytes | None
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a set; *target* is the name of its object."""

    key: bytes
    end: bytes | None
    target: str | None
    userdata: bytes | None = None


@dataclass(slots=True)
class Set:
    """One set or map; elements are kept in the order in which they came.

    Shape: *fields* are the byte lengths of a concatenation's parts; *size* 0: no limit.
    """

    name: str
    handle: int
    flags: SetFlag
    key_type: int
    key_length: int
    object_type: int
    fields: tuple[int, ...]
    size: int
    userdata: bytes | None
    elements: dict[tuple[bytes, bytes | None], Element] = field(default_factory=dict)

    @property
    def intervals(self) -> bool:
        """Whether keys are ranges."""
        return SetFlag.INTERVAL in self.flags

    @property
    def shape(self) -> tuple[int, ...]:
        """What must be equal for a set to count as the same one."""
        return (
            *(self.flags, self.key_type, self.key_length, self.object_type, self.size),
            *self.fields,
        )


@dataclass(frozen=True, slots=True)
class HelperObject:
    """One ct helper object; *l3* is what the kernel really has: 1 both, 2 or 10 only one."""

    name: str
    handle: int
    helper: str
    l4: int
    l3: int
    userdata: bytes | None


@dataclass(slots=True)
class Table:
    """One table; *owner* is a portid, or 0."""

    family: int
    name: str
    handle: int
    flags: TableFlag
    owner: int
    userdata: bytes | None
    chains: dict[str, Chain] = field(default_factory=dict)
    sets: dict[str, Set] = field(default_factory=dict)
    objects: dict[str, HelperObject] = field(default_factory=dict)
    last_handle: int = 0

    @property
    def key(self) -> "TableKey":
        """What names it in a ruleset."""
        return self.family, self.name

    @property
    def use(self) -> int:
        """How many chains, sets and objects it holds."""
        return len(self.chains) + len(self.sets) + len(self.objects)

    @property
    def orphaned(self) -> bool:
        """Whether a new owner may claim it."""
        return TableFlag.PERSIST in self.flags and TableFlag.OWNER not in self.flags

    def next_handle(self) -> int:
        """Return a handle that nothing in this table had before."""
        self.last_handle += 1
        return self.last_handle

    def rules(self) -> Iterator[Rule]:
        """Yield the rules of all chains."""
        for chain in self.chains.values():
            yield from chain.rules

    def object_uses(self) -> Counter[str]:
        """Count how many elements and rules refer to each object."""
        uses: Counter[str] = Counter()
        for rule in self.rules():
            uses.update(rule.objects)
        for each in self.sets.values():
            uses.update(element.target for element in each.elements.values() if element.target)
        return uses

    def copy(self) -> "Table":
        """Return a table that can change without this one."""
        return replace(
            self,
            chains=dict(self.chains),
            sets={name: replace(s, elements=dict(s.elements)) for name, s in self.sets.items()},
            objects=dict(self.objects),
        )


TableKey = tuple[int, str]
"""(family, name)."""


@dataclass(slots=True)
class Ruleset:
    """Everything of one netns; *generation* counts its effective commits."""

    generation: int = 1
    tables: dict[TableKey, Table] = field(default_factory=dict)
    last_handle: int = 0

    def bump(self) -> None:
        """Begin the next generation; it is a 32 bit number and never 0."""
        self.generation = (self.generation + 1) & 0xFFFFFFFF or 1

    def of_family(self, family: int) -> Iterator[Table]:
        """Yield the tables of *family*; 0 is all."""
        for table in self.tables.values():
            if family in (0, table.family):
                yield table
