"""Random stories: whatever is done to a store, it is what a dict and a list would be."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import ClassVar
from uuid import uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ctherd.store.port import (
    ABSENT,
    Compacted,
    Conflict,
    Delete,
    Event,
    Expect,
    Put,
    Revision,
    Store,
    Stored,
    Write,
)
from tests.testing.contract_store.factories import FACTORIES
from tests.testing.contract_store.words import everything, seen

_KEYS = ("a", "a/1", "a/2", "b/1", "é")
_PREFIXES = ("", "a", "a/", "b/", "c")

_keys = st.sampled_from(_KEYS)
_writes = st.lists(
    st.builds(Put, _keys, st.binary(max_size=3)) | st.builds(Delete, _keys),
    max_size=4,
    unique_by=lambda write: write.key,
)
_guesses = st.lists(st.tuples(_keys, st.booleans()), max_size=3)


@dataclass
class Model:
    """What a store should be."""

    stored: dict[str, Stored] = field(default_factory=dict)
    log: list[tuple[Revision, list[Event]]] = field(default_factory=list)
    last: Revision = ABSENT

    def revision_of(self, key: str) -> Revision:
        return self.stored[key].revision if key in self.stored else ABSENT

    def conflict(self, expects: list[Expect]) -> Conflict | None:
        for key, revision in expects:
            if self.revision_of(key) != revision:
                return Conflict(key, self.stored.get(key))
        return None

    def commit(self, revision: Revision, writes: list[Write]) -> None:
        events = []
        for write in writes:
            if isinstance(write, Put):
                events.append(Event(write.key, write.value, revision))
                self.stored[write.key] = Stored(write.key, write.value, revision)
            elif self.stored.pop(write.key, None):
                events.append(Event(write.key, None, revision))
        self.log.append((revision, events))
        self.last = revision

    def under(self, prefix: str) -> list[Stored]:
        return [self.stored[key] for key in sorted(self.stored) if key.startswith(prefix)]

    def after(self, since: Revision, prefix: str) -> list[Event]:
        return [
            event
            for revision, events in self.log
            for event in events
            if revision > since and event.key.startswith(prefix)
        ]


class Story(RuleBasedStateMachine):
    """A store beside its model."""

    kind: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self.model = Model()
        self.done: dict[str, Revision] = {}
        self.oldest = ABSENT

    @initialize()
    def open(self) -> None:
        self.store: Store = self._runner.run(
            self._stack.enter_async_context(FACTORIES[self.kind]())
        )

    def teardown(self) -> None:
        self._runner.run(self._stack.aclose())
        self._runner.close()

    @rule(guesses=_guesses, writes=_writes)
    def commit(self, guesses: list[tuple[str, bool]], writes: list[Write]) -> None:
        """Each guess expects what is so, or (False) the revision of some other time."""
        expects = [
            Expect(key, self.model.revision_of(key) if right else Revision(self.model.last + 1))
            for key, right in guesses
        ]
        write_id = str(uuid4())
        answer = self._runner.run(self.store.commit(expects, writes, write_id=write_id))
        conflict = self.model.conflict(expects)
        if conflict:
            assert answer == conflict
            assert self._runner.run(self.store.outcome(write_id)) is None
            return
        assert not isinstance(answer, Conflict)
        assert answer > self.model.last
        self.model.commit(answer, writes)
        self.done[write_id] = answer

    @rule(batches=st.lists(_writes, min_size=2, max_size=4))
    def commit_at_once(self, batches: list[list[Write]]) -> None:
        """Commits that nobody waits between: in some order, each whole."""

        async def commit_all() -> list[Revision | Conflict]:
            commits = (self.store.commit([], each, write_id=str(uuid4())) for each in batches)
            return await asyncio.gather(*commits)

        revisions = self._runner.run(commit_all())
        in_order = sorted(range(len(batches)), key=lambda n: revisions[n])  # type: ignore[arg-type, return-value]
        for n in in_order:
            revision = revisions[n]
            assert not isinstance(revision, Conflict)
            assert revision > self.model.last
            self.model.commit(revision, batches[n])

    @precondition(lambda self: self.done)
    @rule(choice=st.data(), writes=_writes)
    def repeat(self, choice: st.DataObject, writes: list[Write]) -> None:
        """A write id that is remembered is answered as the first time."""
        write_id = choice.draw(st.sampled_from(sorted(self.done, key=self.done.__getitem__)))
        if self.done[write_id] > self.oldest:
            answer = self._runner.run(self.store.commit([], writes, write_id=write_id))
            assert answer == self.done[write_id]
            assert self._runner.run(self.store.outcome(write_id)) == answer

    @rule(prefix=st.sampled_from(_PREFIXES), after=st.just("") | _keys, limit=st.integers(1, 4))
    def page(self, prefix: str, after: str, limit: int) -> None:
        found = self.model.under(prefix)
        forward = self.store.page(prefix, after=after, limit=limit)
        assert self._runner.run(forward) == [each for each in found if each.key > after][:limit]
        backward = self.store.page(prefix, after=after, limit=limit, newest_first=True)
        found = [each for each in reversed(found) if not after or each.key < after]
        assert self._runner.run(backward) == found[:limit]

    @rule(prefix=st.sampled_from(_PREFIXES), back=st.integers(0, 5))
    def watch(self, prefix: str, back: int) -> None:
        revisions = [ABSENT, *(revision for revision, _ in self.model.log)]
        since = revisions[max(0, len(revisions) - 1 - back)]
        watching = seen(self.store, self.model.last, prefix=prefix, since=since)
        if since < self.oldest:
            with pytest.raises(Compacted):
                self._runner.run(watching)
        else:
            assert self._runner.run(watching) == self.model.after(since, prefix)

    @rule(keep=st.integers(0, 6))
    def compact(self, keep: int) -> None:
        oldest = self._runner.run(self.store.compact(keep))
        assert oldest >= self.oldest
        assert self._remembered(oldest) == min(keep, self._remembered(self.oldest))
        self.oldest = oldest

    @rule(prefixes=st.sets(st.sampled_from(_PREFIXES)))
    def snapshot(self, prefixes: set[str]) -> None:
        held = self._runner.run(everything(self.store, *prefixes))
        wanted = tuple(prefixes) or ("",)
        assert list(held.values()) == [e for e in self.model.under("") if e.key.startswith(wanted)]

    def _remembered(self, since: Revision) -> int:
        return sum(revision > since for revision, _ in self.model.log)

    @invariant()
    def what_stands(self) -> None:
        for key in _KEYS:
            assert self._runner.run(self.store.get(key)) == self.model.stored.get(key)


@pytest.mark.parametrize("name", FACTORIES)
def test_stories(name: str) -> None:
    """The model and the store never disagree."""
    run_state_machine_as_test(
        type(name, (Story,), {"kind": name}),
        settings=settings(max_examples=40, stateful_step_count=30, deadline=None),
    )
