"""One transaction: at once where nothing is in the way, and else whatever the kernel takes of it.

The generation makes check and act one step: the batch names the one it is based on, and the kernel
refuses it if somebody else has moved the ruleset since.
"""

import errno
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Final

from ctherd.dataplane.nftables import fresh, render
from ctherd.dataplane.nftables.observe import read_families
from ctherd.dataplane.nftables.place import Place
from ctherd.dataplane.nftables.render import Delta, HelperOn, Step
from ctherd.errors import DataplaneError
from ctherd.model.assignment import AssignmentKey
from ctherd.model.catalog import Family
from ctherd.model.document import NetnsName
from ctherd.model.observation import Ownership
from ctherd.model.safe_scope import WIDE
from ctherd.netlink.nf_tables import Operation, Request, TableFlag
from ctherd.netlink.wire import Answer
from ctherd.ports import Committed, Moved, Outcome, Refusal, Transaction

_GUARD: Final = TableFlag.OWNER | TableFlag.PERSIST
_NO_GUARD: Final = TableFlag(0)


@dataclass(frozen=True, slots=True)
class KernelFacts:
    """What was found out about this kernel, in whichever netns.

    Shape: *guards* as in Capabilities; *families* grows with the helpers that were made.
    """

    guards: bool
    families: dict[HelperOn, frozenset[Family]] = field(default_factory=dict)

    @property
    def flags(self) -> TableFlag:
        """The flags that our tables are made with."""
        return _GUARD if self.guards else _NO_GUARD


def commit(place: Place, transaction: Transaction, facts: KernelFacts) -> Outcome:
    """Carry out *transaction* and remember in *place* what came of it.

    Raises: DataplaneError for what is no assignment's fault; OSError from the transport.
    """
    if place.ownership is Ownership.ABSENT and place.scope is WIDE:
        committed = _create_at_once(place, transaction, facts)
        if committed is not None:
            return committed
    return _commit_what_the_kernel_takes(place, transaction, facts)


def _create_at_once(place: Place, transaction: Transaction, facts: KernelFacts) -> Committed | None:
    """Make a new table, or return None: then nothing has happened, for whatever reason."""
    target = {key: after for _, key, _, after, _ in transaction.changes if after is not None}
    batch = fresh.batch(target, transaction.tag, facts.flags, place.generation)
    if batch is None or place.dialogue.carry_out(batch.encoded, fresh.SEQUENCE):
        return None
    place.generation = _after(place.generation)
    place.claimable = facts.guards
    place.learn(Ownership.OURS, target, guarded=facts.guards)
    return _committed(place, batch.made, {}, facts)


def _commit_what_the_kernel_takes(
    place: Place, transaction: Transaction, facts: KernelFacts
) -> Outcome:
    """Commit; whatever the kernel refuses is left out, and the rest is tried again."""
    refused: dict[AssignmentKey, Refusal] = {}
    one_by_one = False
    while True:
        changes = tuple(each for each in transaction.changes if each.key not in refused)
        delta = place.delta(changes)
        steps = _steps(place, transaction, delta, facts.flags, one_by_one=one_by_one)
        if not steps:
            return Committed(transaction.netns, place.generation, place.guarded, refused)
        errors = _send(place, [step.request for step in steps])
        if errors is None:
            return Moved(transaction.netns)
        if not errors:
            place.apply(delta)
            _remember_guard(place, steps, guards=facts.guards)
            used = {(key.helper, key.protocol) for key in delta.added}
            return _committed(place, used, refused, facts)
        culprits = _blame(steps, errors, transaction.netns)
        coarse = any(step.coarse for step, _ in culprits)
        if coarse and not one_by_one:
            one_by_one = True
            continue
        refused |= {
            key: Refusal(answer.errno, answer.in_words)
            for step, answer in culprits
            for key in step.concerns
        }


def _steps(
    place: Place, transaction: Transaction, delta: Delta, flags: TableFlag, *, one_by_one: bool
) -> list[Step]:
    exists = place.ownership is Ownership.OURS
    if not delta.target:
        return [render.delete()] if exists else []
    if not exists:
        return render.create(
            delta.target, transaction.tag, flags, place.scope, one_by_one=one_by_one
        )
    anew = transaction.repair or place.needs_other_rules(delta)
    if anew or (transaction.claim and not place.claimable):
        return render.recreate(
            delta.target, transaction.tag, flags, place.scope, one_by_one=one_by_one
        )
    steps = render.update(delta, one_by_one=one_by_one)
    return [render.claim(flags), *steps] if transaction.claim else steps


def _send(place: Place, requests: list[Request]) -> list[Answer] | None:
    """Send one transaction; None if somebody else moved the ruleset since we looked."""
    errors = place.dialogue.commit(requests, place.generation)
    if not errors:
        place.generation = _after(place.generation)
        return []
    if errors[0].errno != errno.ERESTART:
        return errors
    # A table that the kernel guards, or one whose creation is exclusive, needs no generation:
    # nobody can have changed it, and an existing one makes the creation fail.
    if not place.guarded and place.ownership is not Ownership.ABSENT:
        return None
    errors = place.dialogue.commit(requests, None)
    if not errors:
        place.generation = place.dialogue.generation()
        return []
    return None if errors[0].errno == errno.EEXIST and errors[0].sequence == 1 else errors


def _after(generation: int) -> int:
    """Return the generation that a commit makes: 32 bits, and never 0."""
    return generation % 0xFFFFFFFF + 1


def _committed(
    place: Place,
    used: Set[HelperOn],
    refused: Mapping[AssignmentKey, Refusal],
    facts: KernelFacts,
) -> Committed:
    """Report a commit; for which families a helper is made is asked once per kernel."""
    if not used <= facts.families.keys():
        facts.families.update(read_families(place.dialogue))
    netns = place.namespace.name
    return Committed(netns, place.generation, place.guarded, refused, facts.families)


def _remember_guard(place: Place, steps: list[Step], *, guards: bool) -> None:
    place.ownership = Ownership.OURS if place.live else Ownership.ABSENT
    if any(step.request.operation is Operation.NEWTABLE for step in steps):
        place.guarded = place.claimable = guards
    place.guarded = place.guarded and bool(place.live)


def _blame(steps: list[Step], errors: list[Answer], netns: NetnsName) -> list[tuple[Step, Answer]]:
    """Pair each error with the step that it names.

    Raises: DataplaneError if an error is nobody's fault among the assignments.
    """
    culprits: list[tuple[Step, Answer]] = []
    for answer in errors:
        step = steps[answer.sequence - 1] if 1 <= answer.sequence <= len(steps) else None
        if step is None or not step.concerns:
            if culprits:
                # It only follows from a refusal already found: gone with it, or seen again.
                continue
            what = "commit" if step is None else step.request.operation.name
            raise DataplaneError(what, netns=netns, errno=answer.errno, words=answer.words)
        culprits.append((step, answer))
    return culprits
