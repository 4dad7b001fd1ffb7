"""Quota of a project: each of its helpers holds one slot, a key that only one can have.

A slot's number is drawn at random among the free ones, so that two servers that create at the same
moment seldom meet, and never exceed the quota when they do. Slots are kept only where there is a
quota; helpers from before there was one count, too.
"""

import json
import random
from collections import defaultdict
from collections.abc import Collection, Sequence

from ctherd.model.assignment import AssignmentId
from ctherd.model.document import RouterId
from ctherd.model.router import ProjectId
from ctherd.service.records import SLOTS
from ctherd.service.refusals import OverQuota
from ctherd.store.mirror import Mirror
from ctherd.store.port import ABSENT, Batch, Delete, Expect, Put, Stored


def slot_key(project: ProjectId, number: int) -> str:
    """Return the key of a project's slot."""
    return f"{SLOTS}{project}/{number}"


class Slots:
    """Which slots are taken, by a mirror that covers them."""

    def __init__(self, mirror: Mirror) -> None:
        self._taken: dict[str, dict[str, AssignmentId]] = defaultdict(dict)
        self._key_of: dict[AssignmentId, str] = {}
        for stored in mirror.under(SLOTS):
            self._take(stored)
        self._stop = mirror.subscribe(self._follow)

    def close(self) -> None:
        """Follow the mirror no longer."""
        self._stop()

    def take(
        self,
        project: ProjectId,
        router: RouterId,
        helpers: Sequence[AssignmentId],
        quota: int,
        count: int,
    ) -> tuple[list[Expect], list[Put]]:
        """Return what a commit must expect and write for *helpers* to be within *quota*.

        Shape: *count* is how many helpers the project has, with slots or without.
        Raises: OverQuota.
        """
        if count + len(helpers) > quota:
            raise OverQuota(quota, "project")
        taken = self._taken[project]
        without = max(count - len(taken), 0)
        free = [
            key
            for number in range(quota - without)
            if (key := slot_key(project, number)) not in taken
        ]
        if len(free) < len(helpers):
            raise OverQuota(quota, "project")
        keys = random.sample(free, len(helpers))
        return (
            [Expect(key, ABSENT) for key in keys],
            [
                Put(key, json.dumps({"helper": helper, "router": router}).encode())
                for key, helper in zip(keys, helpers, strict=True)
            ],
        )

    def give_back(self, helpers: Collection[AssignmentId]) -> list[Delete]:
        """Return what a commit must write when *helpers* are no more."""
        return [Delete(self._key_of[each]) for each in helpers if each in self._key_of]

    def _follow(self, batch: Batch) -> None:
        for event in batch.events:
            if not event.key.startswith(SLOTS):
                continue
            self._free(event.key)
            if event.value is not None:
                self._take(Stored(event.key, event.value, event.revision))

    def _take(self, stored: Stored) -> None:
        helper = AssignmentId(json.loads(stored.value)["helper"])
        self._taken[_project(stored.key)][stored.key] = helper
        self._key_of[helper] = stored.key

    def _free(self, key: str) -> None:
        helper = self._taken[_project(key)].pop(key, None)
        if helper is not None and self._key_of.get(helper) == key:
            del self._key_of[helper]


def _project(key: str) -> str:
    return key.removeprefix(SLOTS).rpartition("/")[0]
