"""The evidence of this host: kept by netns, and judged against the kernel as it is now."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from ctherd.errors import CtherdError
from ctherd.model.assignment import AssignmentKey
from ctherd.model.catalog import Family
from ctherd.model.document import NetnsName
from ctherd.model.evidence import Circumstances, Evidence, Result, stale_because
from ctherd.model.observation import Live, Tag

Look = Callable[[NetnsName, Tag | None], Circumstances]
"""Reads the circumstances of a netns, of which our mark is known."""

Generation = Callable[[NetnsName], int]
"""Reads the generation of its ruleset, which costs next to nothing."""


class Keeper(Protocol):
    """Where evidence is kept. Raises: JournalError from what writes."""

    def load(self) -> dict[NetnsName, tuple[Evidence, ...]]:
        """Return all that can be read."""

    def put(self, netns: NetnsName, found: Iterable[Evidence]) -> None:
        """Keep *found* as all that is known of *netns*."""

    def keep_only(self, names: Collection[NetnsName]) -> None:
        """Forget what is known of any other netns."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Evidence, and why it does not count any more; "" if it does."""

    evidence: Evidence
    stale: str

    @property
    def verified_at(self) -> str:
        """When the helper was proven, "" if it was not, or what was proven is no more."""
        proven = self.evidence.result is Result.PROVEN and not self.stale
        return self.evidence.when if proven else ""


OfNetns = Mapping[tuple[AssignmentKey, Family], Judged]

_NOTHING: Final[OfNetns] = {}


@dataclass(slots=True)
class EvidenceBook:
    """All evidence of this host, read once; *look* and *generation* ask the kernel."""

    keeper: Keeper
    look: Look
    generation: Generation
    _known: dict[NetnsName, tuple[Evidence, ...]] = field(init=False)
    _last: dict[NetnsName, Circumstances] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._known = self.keeper.load()

    def of(
        self, netns: NetnsName, tag: Tag | None, live: Live, *, thoroughly: bool = True
    ) -> OfNetns:
        """Return the evidence of *netns*, where *live* is assigned now, judged.

        Shape: unless *thoroughly*, what was read last counts as long as the generation stands.
        """
        known = self._known.get(netns)
        if not known:
            return _NOTHING
        try:
            now = self._now(netns, tag, thoroughly=thoroughly)
        except (CtherdError, OSError) as error:
            words = f"the kernel cannot be asked whether it still counts: {error}"
            return {(each.key, each.family): Judged(each, words) for each in known}
        return {
            (each.key, each.family): Judged(each, stale_because(each, live.get(each.key), now))
            for each in known
        }

    def keep(
        self,
        netns: NetnsName,
        found: Iterable[Evidence],
        names: Collection[NetnsName],
        keys: Collection[AssignmentKey],
    ) -> None:
        """Keep *found* beside, or in the place of, what is known of *netns*.

        Shape: *names* are all netns that are known here, *keys* all assignments of this one; what
        was kept of others goes.
        Raises: JournalError.
        """
        fresh = {(each.key, each.family): each for each in found}
        known = self._known.get(netns, ())
        before = {(each.key, each.family): each for each in known if each.key in keys}
        kept = tuple((before | fresh).values())
        self.keeper.put(netns, kept)
        self._known[netns] = kept
        self._last.pop(netns, None)
        still = {*names, netns}
        for gone in self._known.keys() - still:
            del self._known[gone]
        self.keeper.keep_only(still)

    def _now(self, netns: NetnsName, tag: Tag | None, *, thoroughly: bool) -> Circumstances:
        last = self._last.get(netns)
        if last is None or thoroughly or self.generation(netns) != last.generation:
            self._last[netns] = last = self.look(netns, tag)
        return last


class _NothingKept:
    """Keeps nothing: for hosts that were made without a state directory."""

    def load(self) -> dict[NetnsName, tuple[Evidence, ...]]:
        return {}

    def put(self, netns: NetnsName, found: Iterable[Evidence]) -> None: ...

    def keep_only(self, names: Collection[NetnsName]) -> None: ...


def no_evidence() -> EvidenceBook:
    """Return a book that knows nothing and keeps nothing on disk."""

    def look(netns: NetnsName, tag: Tag | None) -> Circumstances:
        return Circumstances("", 0, 0, "")

    return EvidenceBook(_NothingKept(), look, lambda _: 0)


def of_assignment(judged: OfNetns, key: AssignmentKey) -> dict[str, Any]:
    """Return the evidence of *key* by family, as `-o json` has it."""
    return {family.value: as_shown(each) for (of, family), each in judged.items() if of == key}


def as_shown(judged: Judged) -> dict[str, Any]:
    """Return one piece of evidence as `-o json` has it."""
    evidence = judged.evidence
    return {
        "result": evidence.result.value,
        "proof": evidence.proof.value,
        "words": evidence.words,
        "missing": list(evidence.missing),
        "when": evidence.when,
        "kernel": evidence.kernel,
        "stale": judged.stale,
    }
