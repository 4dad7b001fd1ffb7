"""The conntrack table of one netns: what requests do to it.

A helper can be taken from a flow, with its expectations, and never be given back.
"""

import errno
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ctherd.testing.conntrack.filter import FILTER, selected
from ctherd.testing.conntrack.flows import (
    EXPECT_HELPER,
    EXPECT_MASK,
    EXPECT_MASTER,
    EXPECT_TUPLE,
    EXPECTED,
    HELP,
    HELPER_ASSIGNED,
    ID,
    MARK,
    MASTER,
    ORIGINAL,
    REPLY,
    TIMEOUT,
    Expectation,
    Flow,
    Tuple,
    helper_name,
    parse_tuple,
    show_expectation,
    show_flow,
    wanted_tuple,
)
from ctherd.testing.helper_matrix import HelperMatrix
from ctherd.testing.refusal import NotModelled, Refused
from ctherd.testing.wire import (
    CREATE,
    EXCLUSIVE,
    SUBSYSTEM_CONNTRACK,
    SUBSYSTEM_EXPECTATION,
    Attributes,
    Message,
    be32,
)

NEW: Final = 0
GET: Final = 1
DELETE: Final = 2
GET_STATISTICS: Final = 5

MAX_ENTRIES: Final = 262144
_ENTRIES: Final = 1
_MAX_ENTRIES: Final = 2


@dataclass(slots=True)
class Conntrack:
    """The flows and expectations of one netns."""

    helpers: HelperMatrix
    flows: list[Flow] = field(default_factory=list)
    expectations: list[Expectation] = field(default_factory=list)

    def handle(self, message: Message) -> None:
        """Carry out a message that changes something.

        Raises: Refused.
        """
        attributes = message.attributes()
        match message.subsystem, message.op:
            case 1, 0:
                self._new_flow(message, attributes)
            case 1, 2:
                self._delete_flows(message, attributes)
            case 2, 0:
                self._new_expectation(message, attributes)
            case 2, 2:
                self._delete_expectations(attributes)
            case _:
                raise NotModelled(f"ctnetlink message {message.kind:#x}")

    def dump(self, message: Message) -> Iterator[tuple[int, bytes]]:
        """Yield (family, body) of what a dump lists."""
        attributes = message.attributes()
        if message.subsystem == SUBSYSTEM_CONNTRACK and FILTER in attributes and not message.family:
            raise Refused(errno.EOPNOTSUPP)
        if message.subsystem == SUBSYSTEM_EXPECTATION:
            for each in self._expectations_of(message, attributes):
                yield each.master.family, show_expectation(each)
            return
        for flow in self.flows:
            if message.family in (0, flow.family) and selected(flow, attributes):
                yield flow.family, show_flow(flow)

    def statistics(self) -> bytes:
        """Write how full the table is."""
        return be32(_ENTRIES, len(self.flows)) + be32(_MAX_ENTRIES, MAX_ENTRIES)

    def one(self, message: Message) -> tuple[int, bytes]:
        """Return (family, body) of the flow that is asked for.

        Raises: Refused (EINVAL, ENOENT).
        """
        if message.subsystem != SUBSYSTEM_CONNTRACK:
            raise NotModelled("asking for one expectation")
        flow = self._find(message, message.attributes())
        return flow.family, show_flow(flow)

    def expect(self, master: Flow, awaited: Tuple, *, timeout_s: int = 300) -> Expectation:
        """Add an expectation, as the helper of *master* does when it reads the payload."""
        if master.helper is None:
            raise ValueError("a flow without a helper expects nothing")
        mask = Tuple(b"\xff" * len(awaited.source), b"\xff" * len(awaited.source), 255, 0, 65535)
        made = Expectation(master, awaited, mask, master.helper, timeout_s)
        self.expectations.append(made)
        return made

    def track(self, flow: Flow) -> Flow:
        """Add a flow, as its first packet does."""
        if flow.helper is not None:
            flow.helped = True
            flow.status |= 0 if flow.master else HELPER_ASSIGNED
        if flow.master is not None:
            flow.status |= EXPECTED
        self.flows.append(flow)
        return flow

    # -- flows ------------------------------------------------------------------------------------

    def _new_flow(self, message: Message, attributes: Attributes) -> None:
        tuple_ = wanted_tuple(attributes)
        flow = self._lookup(message.family, tuple_)
        if flow is not None:
            if message.flags & EXCLUSIVE:
                raise Refused(errno.EEXIST)
            if HELP in attributes:
                self._change_helper(flow, helper_name(attributes))
            return
        if not message.flags & CREATE:
            raise Refused(errno.ENOENT)
        self._create_flow(message.family, attributes)

    def _create_flow(self, family: int, attributes: Attributes) -> None:
        if ORIGINAL not in attributes or REPLY not in attributes or TIMEOUT not in attributes:
            raise Refused(errno.EINVAL)
        original = parse_tuple(attributes[ORIGINAL])
        reply = parse_tuple(attributes[REPLY])
        flow = Flow(family, original, reply, timeout_s=attributes[TIMEOUT].number)
        if MASTER in attributes:
            flow.master = self._lookup(family, parse_tuple(attributes[MASTER]))
            if flow.master is None:
                raise Refused(errno.ENOENT)
        if name := (helper_name(attributes) if HELP in attributes else ""):
            self._check_helper(flow, name)
            flow.helper = name
        self.track(flow)

    def _change_helper(self, flow: Flow, name: str) -> None:
        """Take the helper away (empty name), or keep it; another one is never given."""
        if flow.master is not None:
            if flow.helper != name:
                raise Refused(errno.EBUSY)
            return
        if not name:
            flow.helper = None
            self.expectations = [e for e in self.expectations if e.master is not flow]
            return
        self._check_helper(flow, name)
        if not flow.helped:
            raise Refused(errno.EOPNOTSUPP)
        if flow.helper != name:
            raise Refused(errno.EBUSY)

    def _check_helper(self, flow: Flow, name: str) -> None:
        support = self.helpers.get((name, flow.original.l4))
        if support is None or flow.family not in support.families:
            raise Refused(errno.EOPNOTSUPP)

    def _delete_flows(self, message: Message, attributes: Attributes) -> None:
        if ORIGINAL in attributes or REPLY in attributes:
            self._remove([self._find(message, attributes)])
            return
        if FILTER in attributes or MARK in attributes:
            raise NotModelled("deleting flows by a filter")
        self._remove([f for f in self.flows if message.family in (0, f.family)])

    def _remove(self, doomed: list[Flow]) -> None:
        self.flows = [flow for flow in self.flows if flow not in doomed]
        self.expectations = [e for e in self.expectations if e.master not in doomed]

    def _find(self, message: Message, attributes: Attributes) -> Flow:
        flow = self._lookup(message.family, wanted_tuple(attributes))
        if flow is None or (ID in attributes and attributes[ID].number != flow.id):
            raise Refused(errno.ENOENT)
        return flow

    def _lookup(self, family: int, wanted: Tuple) -> Flow | None:
        for flow in self.flows:
            if flow.family == family and wanted in (flow.original, flow.reply):
                return flow
        return None

    # -- expectations -----------------------------------------------------------------------------

    def _new_expectation(self, message: Message, attributes: Attributes) -> None:
        needed = (EXPECT_MASTER, EXPECT_TUPLE, EXPECT_MASK)
        if any(kind not in attributes for kind in needed):
            raise Refused(errno.EINVAL)
        if not message.flags & CREATE:
            raise Refused(errno.ENOENT)
        master = self._lookup(message.family, parse_tuple(attributes[EXPECT_MASTER]))
        if master is None:
            raise Refused(errno.ENOENT)
        if master.helper is None:
            raise Refused(errno.EOPNOTSUPP)
        self.expect(master, parse_tuple(attributes[EXPECT_TUPLE]))

    def _delete_expectations(self, attributes: Attributes) -> None:
        if EXPECT_TUPLE in attributes:
            raise NotModelled("deleting one expectation")
        if EXPECT_HELPER not in attributes:
            self.expectations.clear()
            return
        name = attributes[EXPECT_HELPER].text
        self.expectations = [e for e in self.expectations if e.helper != name]

    def _expectations_of(self, message: Message, attributes: Attributes) -> Iterator[Expectation]:
        wanted = None
        if EXPECT_MASTER in attributes:
            wanted = parse_tuple(attributes[EXPECT_MASTER])
        for each in self.expectations:
            if message.family not in (0, each.master.family):
                continue
            if wanted is None or wanted in (each.master.original, each.master.reply):
                yield each
