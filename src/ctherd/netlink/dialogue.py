"""Questions and answers over a transport: who answers what, and when an answer is complete."""

import errno
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import count
from typing import NamedTuple

from ctherd.errors import DataplaneError
from ctherd.netlink import nf_tables as nft
from ctherd.netlink import nf_tables_read as read
from ctherd.netlink import wire
from ctherd.netlink.nf_tables import Operation, Request
from ctherd.netlink.transport import Transport
from ctherd.netlink.wire import Answer, Message

# Beyond any batch's sequence numbers, so that a late answer is never taken for a batch's.
_FIRST_QUESTION = 0x1000_0000

_GENERATION_QUESTION = nft.get(Operation.GETGEN, _FIRST_QUESTION)
_GENERATION_KIND = nft.kind(Operation.NEWGEN).to_bytes(2, sys.byteorder)
_GENERATION_SEQUENCE = _FIRST_QUESTION.to_bytes(4, sys.byteorder)


class Question(NamedTuple):
    """One question to any subsystem of nfnetlink.

    Shape: *kind* is subsystem << 8 | operation; *family* 0 asks for all families; *words* name the
    operation in an error.
    """

    kind: int
    family: int
    body: bytes
    words: str


class Order(NamedTuple):
    """One request outside of any transaction; only errors answer it. Shape: as Question."""

    kind: int
    family: int
    body: bytes


_ORDERS_AT_ONCE = 64
"""So many errors fit into any receive buffer."""


class Dialogue:
    """Speaks nfnetlink with the kernel of one netns.

    Raises, from every method: DataplaneError with the kernel's errno; OSError from the transport.
    """

    def __init__(self, transport: Transport, netns: str) -> None:
        self.transport = transport
        self.netns = netns
        self._sequences = count(_FIRST_QUESTION + 1)

    def generation(self) -> int:
        """Return the ruleset's generation; the cheapest question there is."""
        transport = self.transport
        transport.send(_GENERATION_QUESTION)
        while True:
            datagram = transport.receive()
            if datagram[4:6] == _GENERATION_KIND and datagram[8:12] == _GENERATION_SEQUENCE:
                return read.generation_number(datagram[16:])
            self._raise_if_error(datagram, _FIRST_QUESTION, "read the generation")

    def ask(self, operation: Operation, body: bytes) -> Message | None:
        """Return the one thing that *body* names, or None if there is none.

        Shape: the message is valid until the next question.
        """
        question = _table_question(operation, body)
        return next(self._answers(question, dump=False, nothing=errno.ENOENT), None)

    def dump(self, operation: Operation, body: bytes) -> Iterator[Message]:
        """Yield everything that *body* selects; each message is valid until the next is taken."""
        return self._answers(_table_question(operation, body), dump=True)

    def dump_any(self, question: Question) -> Iterator[Message]:
        """Yield everything that *question* selects, as ``dump`` does."""
        return self._answers(question, dump=True)

    def dump_mentions(self, question: Question, needle: bytes) -> bool:
        """Tell whether *needle* is anywhere in what *question* selects; nothing is decoded."""
        sequence = next(self._sequences)
        kind, family, body, words = question
        self.transport.send(wire.netfilter_message(kind, wire.NLM_F_DUMP, sequence, family, body))
        found = False
        while True:
            datagram = self.transport.receive()
            last = wire.last(datagram)
            if last.sequence != sequence:
                continue
            found = found or needle in bytes(datagram)
            if last.kind == wire.NLMSG_ERROR:
                self._raise(wire.answer(last), words)
            if last.kind in (wire.NLMSG_DONE, wire.NLMSG_ERROR):
                return found

    def ask_any(self, question: Question) -> Message:
        """Return the one answer to *question*, valid until the next question.

        Raises: DataplaneError, ENODATA if the kernel answers nothing.
        """
        for message in self._answers(question, dump=False):
            return message
        raise DataplaneError(question.words, netns=self.netns, errno=errno.ENODATA)

    def commit(self, requests: Sequence[Request], generation: int | None) -> list[Answer]:
        """Carry out one transaction and return the kernel's errors: none, and it happened.

        Shape: an error's sequence number is 1 + the index of its request, 0 for the whole.
        """
        return self.carry_out(nft.batch(requests, generation), len(requests))

    def carry_out(self, batch: bytes, last: int) -> list[Answer]:
        """Carry out a transaction that is encoded already, as ``commit`` does.

        Shape: *last* is the sequence number of its last request, which asks for acknowledgement.
        """
        self.transport.send(batch)
        answers: list[Answer] = []
        while True:
            try:
                datagram = self.transport.receive(wait=False)
            except BlockingIOError:
                break
            # Errors precede the acknowledgement: where it comes first, there are none.
            if not answers and wire.says(datagram, last, 0):
                return []
            answers += [
                wire.answer(each)
                for each in wire.messages(datagram)
                if each.kind == wire.NLMSG_ERROR and each.sequence < _FIRST_QUESTION
            ]
        errors = [each for each in answers if each.errno]
        if not errors:
            raise DataplaneError(
                "commit", netns=self.netns, errno=errno.ENODATA, words="the kernel did not answer"
            )
        return errors

    def carry_out_each(self, orders: Sequence[Order]) -> dict[int, Answer]:
        """Carry out *orders* one after the other; return the kernel's errors by their index.

        Shape: no transaction; one that fails does not keep the others from being carried out.
        """
        errors: dict[int, Answer] = {}
        for start in range(0, len(orders), _ORDERS_AT_ONCE):
            some = orders[start : start + _ORDERS_AT_ONCE]
            errors |= {start + at: answer for at, answer in self._carry_out_some(some).items()}
        return errors

    def _carry_out_some(self, orders: Sequence[Order]) -> dict[int, Answer]:
        first = next(self._sequences)
        last = first
        messages: list[bytes] = []
        for kind, family, body in orders:
            last = first if not messages else next(self._sequences)
            # Errors come unasked; only of the last one it has to be heard that it was done.
            flags = wire.NLM_F_ACK if len(messages) + 1 == len(orders) else 0
            messages.append(wire.netfilter_message(kind, flags, last, family, body))
        self.transport.send(b"".join(messages))
        answers: dict[int, Answer] = {}
        while last - first not in answers:
            for message in wire.messages(self.transport.receive()):
                if message.kind == wire.NLMSG_ERROR and first <= message.sequence <= last:
                    answers[message.sequence - first] = wire.answer(message)
        return {at: answer for at, answer in answers.items() if answer.errno}

    def _answers(self, question: Question, *, dump: bool, nothing: int = 0) -> Iterator[Message]:
        """Yield the answers; an error with errno *nothing* says that there are none."""
        sequence = next(self._sequences)
        kind, family, body, words = question
        flags = wire.NLM_F_DUMP if dump else 0
        self.transport.send(wire.netfilter_message(kind, flags, sequence, family, body))
        while True:
            datagram = self.transport.receive()
            if nothing and wire.says(datagram, sequence, nothing):
                return
            for message in wire.messages(datagram):
                if message.sequence != sequence:
                    continue
                if message.kind == wire.NLMSG_DONE:
                    return
                if message.kind == wire.NLMSG_ERROR:
                    self._raise(wire.answer(message), words)
                    return
                yield message
                if not dump:
                    return

    def _raise_if_error(self, datagram: memoryview, sequence: int, operation: str) -> None:
        for message in wire.messages(datagram):
            if message.kind == wire.NLMSG_ERROR and message.sequence == sequence:
                self._raise(wire.answer(message), operation)

    def _raise(self, answer: Answer, operation: str) -> None:
        if answer.errno:
            raise DataplaneError(
                operation, netns=self.netns, errno=answer.errno, words=answer.words
            )


@lru_cache(maxsize=64)
def _table_question(operation: Operation, body: bytes) -> Question:
    return Question(nft.kind(operation), nft.NFPROTO_INET, body, operation.name)
