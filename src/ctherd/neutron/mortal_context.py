"""A privsep context whose daemon may die at any moment, also with a call on its way to it.

oslo.privsep 3.12 takes the end of its connection for the end of the daemon. A reset, which is what
the kernel says where a call was not read any more, ends the thread that reads instead: the context
counts as running for ever, and who called waits for ever.
"""

from collections.abc import Iterator
from typing import Any

from oslo_privsep.comm import Deserializer
from oslo_privsep.daemon import RootwrapClientChannel
from oslo_privsep.priv_context import Method, PrivContext


class MortalContext(PrivContext):
    """Starts another daemon after whatever end of the last one."""

    def start(self, method: Method = Method.ROOTWRAP) -> None:
        """Start the daemon, by whatever program the configuration says."""
        with self.start_lock:
            if self.channel is None:
                self.channel = _Channel(self)


class _Channel(RootwrapClientChannel):
    def _reader_main(self, reader: Deserializer) -> None:
        super()._reader_main(_until_the_end(reader))  # type: ignore[arg-type]


def _until_the_end(reader: Deserializer) -> Iterator[Any]:
    try:
        yield from reader
    except OSError:
        return
