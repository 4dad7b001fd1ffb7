"""What Neutron's own extension left in the namespaces of routers: found, and in the end removed.

Neutron's iptables manager removes it too, when it first works on a router after a start without
that extension. So it has to be read, and made ours, before that.
"""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ctherd.dataplane import neutron
from ctherd.dataplane.iptables.dataplane import IptablesDataplane
from ctherd.dataplane.iptables.kernel import has_any_legacy_table
from ctherd.dataplane.iptables.variant import Variant
from ctherd.errors import CtherdError, DataplaneError
from ctherd.main.migrate import removal, search
from ctherd.main.wiring import netns_directory
from ctherd.model.assignment import ANY, AssignmentKey, Destinations
from ctherd.model.document import NetnsName
from ctherd.netlink.dialogue import Dialogue

DialogueWith = Callable[[NetnsName], AbstractContextManager[Dialogue]]
"""Has a dialogue with the nf_tables of a netns. Raises: CtherdError."""


class Left(NamedTuple):
    """What there is in one netns. Shape: *unknown* are rules that the extension never writes."""

    netns: NetnsName
    assigned: dict[AssignmentKey, Destinations]
    unknown: tuple[str, ...]


class Inheritance:
    """Works in whichever thread asks, one at a time, with namespaces that it opens for a moment."""

    def __init__(self, netns_dir: Path) -> None:
        self._turn = threading.Lock()
        self._found: dict[NetnsName, Left] = {}
        self._directory = netns_directory(netns_dir, leave_room=False)
        self._variants = {each: IptablesDataplane(self._directory, each) for each in Variant}

    def find(self, names: Sequence[NetnsName], dialogue_with: DialogueWith) -> list[Left]:
        """Return what was left in these netns; those without anything are not mentioned.

        Shape: *dialogue_with* may know one that is open; to open one takes longer than to ask.
        """
        with self._turn:
            found = list(self._find(names, dialogue_with))
            self._found.update((left.netns, left) for left in found)
            return found

    def remove_covered(self, netns: NetnsName, keys: Collection[AssignmentKey]) -> None:
        """Remove what was found in *netns* if *keys* has all that it assigns.

        Shape: what keeps us from it is told when ``remove`` is asked for.
        """
        with self._turn:
            left = self._found.get(netns)
            if left is not None and left.assigned.keys() <= set(keys):
                self._remove(netns)

    def remove(self, names: Sequence[NetnsName]) -> list[CtherdError]:
        """Remove it; return what kept us from it."""
        with self._turn:
            return [error for name in names if (error := self._remove(name)) is not None]

    def _find(self, names: Sequence[NetnsName], dialogue_with: DialogueWith) -> Iterator[Left]:
        for name in names:
            try:
                # Programs are run where there may be something, and nowhere else.
                with dialogue_with(name) as dialogue:
                    may_be_there = self._may_be_there(dialogue)
                found = list(search(self._variants, name)) if may_be_there else []
            except (CtherdError, OSError):
                continue  # whoever keeps this netns true will say what is wrong with it
            finally:
                self._release(name)
            if found:
                assigned = {key: ANY for each in found for key in each.found.assignments}
                unknown = tuple(rule for each in found for rule in each.found.unknown)
                yield Left(name, assigned, unknown)

    def _may_be_there(self, dialogue: Dialogue) -> bool:
        if neutron.may_have_chains(dialogue):
            return True
        with self._directory.held(NetnsName(dialogue.netns)) as fd:
            return has_any_legacy_table(fd)

    def _remove(self, name: NetnsName) -> CtherdError | None:
        try:
            for each in search(self._variants, name):
                plan = partial(removal, name, each.found)
                self._variants[each.variant].change(name, each.family, plan)
        except CtherdError as error:
            return error
        except OSError as error:
            return DataplaneError(
                "remove what Neutron's extension left", netns=name, errno=error.errno or 0
            )
        finally:
            self._release(name)
        self._found.pop(name, None)
        return None

    def _release(self, name: NetnsName) -> None:
        for variant in self._variants.values():
            variant.release([name])
