"""Takes over from Neutron's own extension: made by us first, and only then removed from there.

What it left counts as remembered, like what the journal knows, until the server has answered. Then
what it assigned to nobody's wish goes like anything else of ours, with its live flows.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Final

from ctherd.errors import CtherdError
from ctherd.journal.lines import from_lines
from ctherd.model.assignment import Assignment, AssignmentId, AssignmentKey
from ctherd.model.document import Document, NetnsName, document
from ctherd.neutron import plain
from ctherd.neutron.remote import Calls, ask

_log: Final = logging.getLogger("ctherd.neutron")

_RETRY_S: Final = 5.0


class Takeover:
    """Knows in which netns something of Neutron's extension is left."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._left: set[NetnsName] = set()
        self._ready: set[NetnsName] = set()
        self._work = asyncio.Event()

    def __contains__(self, netns: NetnsName) -> bool:
        """Tell whether something is left in *netns*."""
        return netns in self._left

    def documents(self, remembered: Sequence[Document]) -> list[Document]:
        """Return what is *remembered* of routers, and what was left there.

        Raises: CtherdError if that cannot be learned.
        """
        known = {each.netns: each for each in remembered}
        found = ask("find what was left", self._calls.find_inherited, sorted(known))
        for name, lines, unknown in found:
            netns = NetnsName(name)
            self._left.add(netns)
            assigned = from_lines(lines)[0]
            words = ", ".join(map(str, assigned)) or "nothing"
            _log.info("%s: taken over from Neutron's extension: %s", netns, words)
            for rule in unknown:
                _log.warning("%s: not taken over, Neutron does not write it: %s", netns, rule)
            known[netns] = _merged(known.get(netns), netns, assigned)
        return list(known.values())

    def remove(self, names: Iterable[NetnsName]) -> None:
        """Remove what is left in these netns: what it assigns we have made, or nobody wants."""
        self._ready.update(names)
        self._left.difference_update(self._ready)
        if self._ready:
            self._work.set()

    async def run(self) -> None:
        """Remove, beside everything else, until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            names = sorted(self._ready)
            try:
                failed = await asyncio.to_thread(
                    ask, "remove what was left", self._calls.remove_inherited, names
                )
                problems = [plain.error_from_plain(each) for each in failed]
            except CtherdError as error:
                problems = [error]
            for problem in problems:
                _log.warning("what Neutron's extension left is not removed yet: %s", problem)
            if problems:
                # What is gone already is not found again.
                asyncio.get_running_loop().call_later(_RETRY_S, self._work.set)
            else:
                self._ready.difference_update(names)


def _merged(
    remembered: Document | None, netns: NetnsName, assigned: Iterable[AssignmentKey]
) -> Document:
    """Return *remembered* and what of *assigned* does not exclude it, or each other."""
    taken = {}
    if remembered is not None:
        taken = {(each.protocol, each.port): each for each in remembered.assignments.values()}
    for key in assigned:
        fresh = Assignment(AssignmentId(str(key)), key.helper, key.protocol, key.port)
        taken.setdefault((key.protocol, key.port), fresh)
    router = remembered.router if remembered is not None else netns.partition("-")[2]
    return document(router, netns, taken.values())
