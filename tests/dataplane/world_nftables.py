"""A netns whose place is table ``inet ctherd``, and what others do to it."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import cast

from ctherd.dataplane.nftables import layout
from ctherd.dataplane.nftables.dataplane import NamespaceOpener, NftablesDataplane
from ctherd.model.assignment import ANY, AssignmentKey
from ctherd.model.document import NetnsName
from ctherd.model.observation import Tag
from ctherd.model.safe_scope import WIDE, AntiSpoofing, SafeScope
from ctherd.netlink import nf_tables as nft
from ctherd.netlink.dialogue import Dialogue
from ctherd.netlink.nf_tables import Element, Operation, Request, TableFlag
from tests.dataplane.contract import OTHER_TAG, TAG

# What ctherd itself never asks for, and others do.
DELCHAIN = cast(Operation, 5)
DELRULE = cast(Operation, 8)
DELSET = cast(Operation, 11)

NARROW = SafeScope(
    related=True,
    lowest_ports={"ftp": 2048},
    anti_spoofing=AntiSpoofing.STRICT,
    not_from=("qg-*", "wan0"),
)
"""Everything that can be asked for."""

_UDP_2121 = nft.u8_key(17) + nft.u16_key(2121)


@dataclass
class NftWorld:
    """A netns whose place is table ``inet ctherd``."""

    opener: NamespaceOpener
    netns: NetnsName
    stack: ExitStack
    scope: SafeScope = WIDE
    tag: Tag = TAG

    def dataplane(self, *, own_table: bool) -> NftablesDataplane:
        return NftablesDataplane(self.opener, own_table=own_table, scope=self.scope)

    def dialogue(self) -> Dialogue:
        """Another process, which has a socket of its own."""
        opened = self.opener.open(self.netns)
        self.stack.callback(opened.close)
        return Dialogue(opened.transport, self.netns)

    def stranger(self, *requests: Request) -> None:
        """Let another process commit something."""
        assert self.dialogue().commit(requests, None) == []

    def touch(self) -> None:
        unrelated = nft.new_table("unrelated", TableFlag(0), "", exclusive=True)
        self.stranger(unrelated, nft.del_table("unrelated"))

    def contents(self) -> list[object]:
        dialogue = self.dialogue()
        table = layout.TABLE
        found: list[object] = []
        for operation, body in (
            (Operation.GETCHAIN, nft.object_table(table)),
            (Operation.GETRULE, nft.object_table(table)),
            (Operation.GETSET, nft.object_table(table)),
            (Operation.GETOBJ, nft.object_table(table)),
        ):
            for message in dialogue.dump(operation, body):
                if b"ctherd\0" in bytes(message.body):
                    found.append(bytes(message.body[4:]))
        return found

    def exists(self) -> bool:
        return self.dialogue().ask(Operation.GETTABLE, nft.table_name(layout.TABLE)) is not None

    def squat(self, comment: str) -> None:
        comment = layout.mark(comment) if comment in (OTHER_TAG, TAG) else comment
        self.stranger(
            nft.new_table(layout.TABLE, TableFlag(0), comment, exclusive=True),
            nft.new_base_chain(layout.TABLE, "prerouting", nft.HOOK_PREROUTING, 0),
            nft.new_ct_helper(layout.TABLE, "ftp-tcp", "ftp", 6),
        )

    def holder(self, mark: str) -> str:
        if mark:
            return f"table inet ctherd bears the mark {mark}, which is not ours here"
        return "table inet ctherd does not bear our mark"

    @property
    def vandalism(self) -> Mapping[str, Callable[[], None]]:
        return {what: partial(self.stranger, request) for what, request in _NFT_VANDALISM.items()}

    def unhook(self, hook: str) -> None:
        place = nft.rule_place(layout.TABLE, hook)
        chain = nft.chain_name(layout.TABLE, hook)
        self.stranger(Request(DELRULE, 0, place), Request(DELCHAIN, 0, chain))

    def take_out(self, key: AssignmentKey) -> None:
        element = layout.elements(key, ANY)[0][1]
        self.stranger(*nft.del_elements(layout.TABLE, "assign", [element]))

    def put_in(self, key: AssignmentKey) -> None:
        shape, element = layout.elements(key, ANY)[0]
        self.stranger(*nft.new_elements(layout.TABLE, shape.name, [element]))

    def destroy(self) -> None:
        self.stranger(nft.del_table(layout.TABLE))


_NFT_VANDALISM: Mapping[str, Request] = {
    "a base chain": nft.new_base_chain(layout.TABLE, "theirs", nft.HOOK_PREROUTING, 0),
    "a rule": nft.new_rule(layout.TABLE, "output", layout.rule_expressions(layout.ANY_MAP)),
    "an object": nft.new_ct_helper(layout.TABLE, "theirs", "ftp", 6),
    "an object of ours that nothing uses": nft.new_ct_helper(layout.TABLE, "sip-udp", "sip", 17),
    "a map": nft.new_object_map(layout.TABLE, "theirs", (12, 13), (1, 2), interval=False),
    "a map of ours that nothing uses": nft.new_object_map(
        layout.TABLE, "assign6", layout.IPV6_MAP.types, layout.IPV6_MAP.lengths, interval=True
    ),
    "an element": nft.new_elements(layout.TABLE, "assign", [Element(_UDP_2121, None, "ftp-tcp")])[
        0
    ],
    "the rules of a chain are gone": Request(
        DELRULE, 0, nft.rule_place(layout.TABLE, "prerouting")
    ),
}
