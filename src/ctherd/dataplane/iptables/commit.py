"""Carries one transaction out: each family by one restore, read back, and whatever it refuses told.

Two goals pull against each other: nothing may be done on the ground of what somebody else has
changed meanwhile, and somebody who changes other things without pause must not starve us. So a
ruleset that moved is looked at anew, as with every dataplane; but after a few misses in a row only
our own place counts. That is safe: lines say what they delete, a chain is only made where there is
none, and what is read back afterwards decides.
"""

import errno
from collections import Counter
from collections.abc import Collection, Generator, Mapping, Sequence
from typing import Final

from ctherd.dataplane.iptables import kernel as kernels
from ctherd.dataplane.iptables import rule
from ctherd.dataplane.iptables.change import Line, difference, needs_rebuild
from ctherd.dataplane.iptables.guarding import guard
from ctherd.dataplane.iptables.kernel import Kernel
from ctherd.dataplane.iptables.listing import Listing
from ctherd.dataplane.iptables.names import Names, names_of
from ctherd.dataplane.iptables.place import Place
from ctherd.dataplane.iptables.programs import Complaint
from ctherd.dataplane.iptables.refusals import clashes, culprits
from ctherd.dataplane.iptables.rule import Rule
from ctherd.dataplane.iptables.side import Side
from ctherd.errors import CtherdError, DataplaneError
from ctherd.model.assignment import AssignmentKey, Destinations
from ctherd.model.catalog import Family
from ctherd.model.observation import Ownership
from ctherd.ports import Committed, Moved, Outcome, Refusal, Transaction

_PATIENCE: Final = 3
"""So many commits in a row may miss before only our own place counts."""


_RESTORES: Final = 2
"""So many restores of one family in one commit, and somebody else is at work there."""


_UNEXPLAINED: Final = 3
"""So many failures that nobody is to blame for: iptables-legacy says of a lost race just this."""


_Answer = Listing | Complaint | CtherdError
"""What comes of one restore."""


class _SomebodyWasFaster(Exception):
    """What we went by is not so any more."""


class Commit:
    """One transaction on its way into one netns.

    Raises, from ``carry_out``: CtherdError, OSError; what was done until then is read anew by the
    next observation.
    """

    def __init__(self, kernel: Kernel, place: Place, transaction: Transaction) -> None:
        self._kernel = kernel
        self._place = place
        self._transaction = transaction
        self._target: dict[AssignmentKey, Destinations] = {}
        self._left_out: dict[Family, dict[AssignmentKey, Refusal]] = {each: {} for each in Family}
        self._errors: list[CtherdError] = []
        self._commits = 0
        self._fresh: set[Family] = set()

    def carry_out(self) -> Outcome:
        """Carry it out."""
        place = self._place
        names = names_of(self._transaction.tag)
        if place.names != names:
            place.understand(names)
        if place.contents.ownership is Ownership.FOREIGN:
            return Moved(self._transaction.netns)
        with self._kernel.alone():
            try:
                return self._alone()
            except _SomebodyWasFaster:
                place.missed += 1
                place.stale = True
                return Moved(self._transaction.netns)

    def _alone(self) -> Committed:
        before = self._check_nobody_came_first()
        everything = self._after_changes()
        clashing = clashes(everything, [each.key for each in self._transaction.changes])
        self._target = {key: each for key, each in everything.items() if key not in clashing}
        unfinished = self._bring_both()
        for family in Family:
            if family in unfinished:
                raise unfinished[family]
        if self._errors and all(side.empty for side in self._place.sides.values()):
            raise self._errors[0]
        # Last: what is let in by a helper that is not among these yet is dropped, not let through.
        self._commits += guard(self._kernel, self._place)
        self._place.missed = 0
        self._settle(before)
        return self._committed(clashing)

    def _check_nobody_came_first(self) -> int:
        """Return the generation that is built on, 0 where the kernel counts none."""
        place = self._place
        generation = self._kernel.generation(place)
        # A chain is made exclusively: where there is none yet, nobody can have changed it.
        if place.contents.ownership is Ownership.ABSENT or place.missed >= _PATIENCE:
            return generation
        moved = generation != place.generation if generation else self._tables_differ()
        if moved:
            raise _SomebodyWasFaster
        return generation

    def _tables_differ(self) -> bool:
        return any(self._read(family) != known for family, known in self._place.listings.items())

    def _after_changes(self) -> dict[AssignmentKey, Destinations]:
        """Return what shall be live."""
        target = dict(self._place.contents.live)
        for change in self._transaction.changes:
            target.pop(change.key, None)
            if change.after is not None:
                target[change.key] = change.after
        return target

    # -- one family ------------------------------------------------------------------------------

    def _bring_both(self) -> dict[Family, CtherdError]:
        """Bring both families to the target, one beside the other; return what keeps us from it.

        What one family waits for is asked together with what the other does: nearly all the time
        of a commit is the programs'.
        """
        unfinished: dict[Family, CtherdError] = {}
        ways = {family: self._bring(family) for family in Family}
        answers: dict[Family, _Answer | None] = dict.fromkeys(Family)
        while answers:
            asked: dict[Family, list[Line]] = {}
            for family, answer in answers.items():
                try:
                    asked[family] = ways[family].send(answer)
                except StopIteration:
                    pass
                except CtherdError as error:
                    unfinished[family] = error  # It must not harm the other one.
            answers = {**self._kernel.programs.restore_all(self._place.netns_fd, asked)}
        return unfinished

    def _bring(self, family: Family) -> Generator[list[Line], _Answer | None, None]:
        """Bring one family to the target, as far as it lets us, and read back until it is there.

        Shape: yields lines to be restored, and is sent what came of it.
        """
        rebuild = False
        restores = unexplained = 0
        while (side := self._side(family)) is not None:
            wanted = self._wanted(family, side.rules)
            rebuild = rebuild or needs_rebuild(side)
            assert self._place.names is not None
            lines = difference(side, wanted, self._place.names, rebuild=rebuild)
            if not lines:
                return
            if restores:
                self._check_again(side, wanted, restores)
            answer = yield lines
            assert answer is not None
            if isinstance(answer, CtherdError):
                self._give_up(family, _added(lines), answer)
                return
            if isinstance(answer, Listing):
                restores += 1
                rebuild = False
                self._commits += 1
                self._fresh.add(family)
                self._place.learn_side(family, answer)
            elif not rebuild and any(_deletes(line) for line, _ in answer.lines):
                self._check_unchanged(family)
                rebuild = True
            elif not self._blame(family, lines, answer):
                unexplained += 1
                if unexplained == _UNEXPLAINED:
                    self._refuse_all(family, lines, answer)

    def _give_up(
        self, family: Family, added: Collection[AssignmentKey], error: CtherdError
    ) -> None:
        """Leave out everything that *family* should have been given.

        Raises: the error itself if something of ours was to go: that is not done.
        """
        if not added:
            raise error
        self._errors.append(error)
        self._left_out[family] |= dict.fromkeys(added, Refusal(errno.EIO, str(error)))

    def _side(self, family: Family) -> Side | None:
        """Return what is known of one family; None if it cannot be read, and nothing is lost."""
        if family in self._place.sides:
            return self._place.sides[family]
        try:
            return self._place.learn_side(family, self._read(family))
        except CtherdError as error:
            # With nothing to add it is raised: there may be rules of ours that nobody wants.
            self._give_up(family, {each.key for each in self._wanted(family)}, error)
            return None

    def _wanted(self, family: Family, present: Counter[Rule] | None = None) -> Counter[Rule]:
        out = self._left_out[family]
        target = {key: scope for key, scope in self._target.items() if key not in out}
        return Counter(rule.rules_for(target, family, present or ()))

    def _check_again(self, side: Side, wanted: Counter[Rule], restores: int) -> None:
        """Say why what was read back is not what was wanted, if it cannot be put right here.

        It can where nobody had read the table before: our jump may have to stand elsewhere in it.
        """
        if not wanted and side.users and not (side.rules or side.surplus):
            raise DataplaneError(
                "delete our chain", netns=self._transaction.netns, errno=errno.EBUSY,
                words=f"somebody else's rule still jumps to it: {side.users[0]}",
                cure="delete that rule; our chain is empty, and goes then",
            )  # fmt: skip
        if restores == _RESTORES:
            raise _SomebodyWasFaster

    def _read(self, family: Family) -> Listing:
        return look(self._kernel, self._place, family, self._place.names)

    def _check_unchanged(self, family: Family) -> None:
        if self._read(family) != self._place.listings[family]:
            raise _SomebodyWasFaster

    def _blame(self, family: Family, lines: list[Line], answer: Complaint) -> bool:
        """Find what is refused and leave it out; tell whether anything was found."""
        self._check_unchanged(family)
        found = culprits(self._kernel.programs, family, lines, answer)
        self._left_out[family] |= found
        return bool(found)

    def _refuse_all(self, family: Family, lines: list[Line], answer: Complaint) -> None:
        """Leave out everything that was to be added: the family takes nothing at all.

        Raises: DataplaneError if something was only to go: that is not done.
        """
        added = _added(lines)
        if not added:
            raise DataplaneError(
                self._kernel.programs.variant.program(family, "restore"),
                netns=self._transaction.netns,
                errno=answer.refusal.errno,
                words=answer.words,
            )
        self._left_out[family] |= dict.fromkeys(added, answer.refusal)

    # -- what came of it -------------------------------------------------------------------------

    def _settle(self, before: int) -> None:
        """Work out what is true now, and at which generation."""
        place = self._place
        assert place.names is not None
        place.reckon()
        if not before:
            place.generation += bool(self._commits)
        elif before == place.generation or self._fresh == set(Family):
            place.generation = kernels.after(before, self._commits)
        # Else a family that was not read back may have changed: the old generation says so.

    def _committed(self, clashing: Mapping[AssignmentKey, Refusal]) -> Committed:
        refused = dict(clashing)
        refused_in: dict[AssignmentKey, dict[Family, Refusal]] = {}
        for key, scope in self._target.items():
            asked = [each for each in Family if any(rule.rules_for({key: scope}, each))]
            nos = {each: self._left_out[each][key] for each in asked if key in self._left_out[each]}
            if nos and len(nos) == len(asked):
                refused[key] = nos[asked[0]]
            elif nos:
                refused_in[key] = nos
        return Committed(
            self._transaction.netns,
            self._place.generation,
            guarded=False,
            refused=refused,
            families=self._place.contents.families,
            refused_in=refused_in,
        )


def _added(lines: Sequence[Line]) -> list[AssignmentKey]:
    return [line.adds.key for line in lines if line.adds is not None]


def _deletes(line: Line) -> bool:
    return line.text.startswith("-D ctherd-")


def look(kernel: Kernel, place: Place, family: Family, names: Names | None) -> Listing:
    """Return the raw table of one family, as far as something of ours may be in it.

    Shape: *names* are ours there, None if we never marked anything. What is known to hold nothing
    that a ctherd made is not read, and passes for empty.
    Raises: CtherdError if it cannot be read; OSError.
    """
    if kernel.lacks_ours(place, family, names):
        return Listing()
    return kernel.programs.save(place.netns_fd, family)
