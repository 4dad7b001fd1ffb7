"""One batch: all of its messages happen, or none, and each failing one is named."""

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ctherd.testing.nf_tables import chains, elements, objects, rules, sets, tables
from ctherd.testing.nf_tables.operations import Operation
from ctherd.testing.nf_tables.state import Ruleset
from ctherd.testing.nf_tables.transaction import Abilities, Transaction
from ctherd.testing.refusal import Absent, NotModelled, Refused
from ctherd.testing.wire import (
    ACK,
    BATCH_BEGIN,
    BATCH_END,
    FIRST_TYPE,
    SUBSYSTEM_NF_TABLES,
    Message,
)

_GENERATION: Final = 1
_GENERATION_BYTES: Final = 4
_IN_THE_KERNEL: Final = 35  # operations that a real kernel of today numbers

Handler = Callable[[Transaction, Message], None]
BeforeMessage = Callable[[Message], None]
"""May raise Refused: the hook for injected faults."""

_WRITES: Final[dict[int, Handler]] = {
    Operation.NEWTABLE: tables.new,
    Operation.DELTABLE: tables.delete,
    Operation.NEWCHAIN: chains.new,
    Operation.DELCHAIN: chains.delete,
    Operation.NEWRULE: rules.new,
    Operation.DELRULE: rules.delete,
    Operation.NEWSET: sets.new,
    Operation.DELSET: sets.delete,
    Operation.NEWSETELEM: elements.new,
    Operation.DELSETELEM: elements.delete,
    Operation.NEWOBJ: objects.new,
    Operation.DELOBJ: objects.delete,
}
_DESTROYS: Final[dict[int, Handler]] = {
    Operation.DESTROYTABLE: tables.delete,
    Operation.DESTROYCHAIN: chains.delete,
    Operation.DESTROYRULE: rules.delete,
    Operation.DESTROYSET: sets.delete,
    Operation.DESTROYSETELEM: elements.delete,
    Operation.DESTROYOBJ: objects.delete,
}
READS: Final = {
    *(Operation.GETTABLE, Operation.GETCHAIN, Operation.GETRULE, Operation.GETSET),
    *(Operation.GETSETELEM, Operation.GETGEN, Operation.GETOBJ, Operation.NEWGEN),
}


@dataclass(frozen=True, slots=True)
class Reply:
    """An error, or with errno 0 an acknowledgement, of *message*."""

    message: Message
    errno: int = 0
    words: str = ""
    offset: int | None = None


@dataclass(slots=True)
class Outcome:
    """What a batch came to; *committed* is true if a new generation began."""

    replies: list[Reply] = field(default_factory=list)
    committed: bool = False


def run(
    ruleset: Ruleset,
    messages: list[Message],
    portid: int,
    abilities: Abilities,
    before_message: BeforeMessage,
) -> Outcome:
    """Carry out the batch that *messages* begins with; what follows its END is ignored.

    Acknowledgements are given for what could be done, even if another message fails the whole
    batch; a stale generation is told for BATCH_BEGIN alone; without an END nothing happens.
    """
    begin = messages[0]
    refusal = _check_begin(ruleset, begin)
    if refusal is not None:
        return Outcome([refusal])
    outcome = Outcome([Reply(begin)] if begin.flags & ACK else [])
    transaction = Transaction(ruleset, portid, abilities)
    failed = False
    for message in messages[1:]:
        if message.kind == BATCH_BEGIN:
            return Outcome()
        if message.kind == BATCH_END:
            if not failed:
                outcome.committed = transaction.commit()
                outcome.replies += [Reply(message)] if message.flags & ACK else []
            return outcome
        reply = _attempt(transaction, message, before_message)
        if reply.errno or message.flags & ACK:
            outcome.replies.append(reply)
        failed = failed or bool(reply.errno)
    return outcome


def _check_begin(ruleset: Ruleset, begin: Message) -> Reply | None:
    if begin.res_id != SUBSYSTEM_NF_TABLES:
        return Reply(begin, errno.EINVAL)
    expected = begin.attributes().get(_GENERATION)
    if expected is None:
        return None
    if len(expected.payload) != _GENERATION_BYTES:
        return Reply(begin, errno.ERANGE)
    # Generation 0 never exists: it asks for no check.
    if expected.number not in (0, ruleset.generation):
        return Reply(begin, errno.ERESTART)
    return None


def _attempt(transaction: Transaction, message: Message, before_message: BeforeMessage) -> Reply:
    try:
        before_message(message)
        _dispatch(transaction, message)
    except Refused as refused:
        return Reply(message, refused.errno, refused.words, refused.offset)
    return Reply(message)


def _dispatch(transaction: Transaction, message: Message) -> None:
    if message.kind < FIRST_TYPE or message.subsystem != SUBSYSTEM_NF_TABLES:
        raise Refused(errno.EINVAL)
    if message.op in _WRITES:
        _WRITES[message.op](transaction, message)
    elif message.op in _DESTROYS:
        _destroy(transaction, message)
    elif message.op in READS or message.op >= _IN_THE_KERNEL:
        raise Refused(errno.EINVAL)
    else:
        raise NotModelled(f"operation {message.op}")


def _destroy(transaction: Transaction, message: Message) -> None:
    """Delete, where absence is success (but not that of the table it should be in)."""
    try:
        _DESTROYS[message.op](transaction, message)
    except Absent:
        return
