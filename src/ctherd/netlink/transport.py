"""The seam between messages and the wire: three methods, so that a scripted kernel can stand in."""

from typing import Protocol


class Transport(Protocol):
    """One netlink endpoint, bound to one network namespace for its whole life."""

    @property
    def portid(self) -> int:
        """The address under which the kernel knows this endpoint (nf_tables: the table's owner)."""

    def send(self, message: bytes) -> None:
        """Hand one datagram to the kernel, which has carried it out when this returns.

        Raises: OSError as the kernel gave it.
        """

    def receive(self, *, wait: bool = True) -> memoryview:
        """Return the next datagram; the view is valid until the next call.

        Raises: BlockingIOError if nothing is queued and *wait* is false; OSError (ENOBUFS) if the
        kernel had to throw answers away.
        """

    def close(self) -> None:
        """Give the endpoint back; what it owned is unguarded from now on."""
