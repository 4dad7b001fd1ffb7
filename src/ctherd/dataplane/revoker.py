"""Revokes helpers from live flows, in whichever netns and for whichever dataplane (ports.Revoker).

It opens a socket for each revocation and closes it again, so that it can work beside the thread
that commits, and so that no netns outlives its deletion because of it. It does one at a time.
"""

import errno
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeVar

from ctherd.dataplane.finding import Finding
from ctherd.dataplane.payment import Payment
from ctherd.errors import CtherdError, DataplaneError, NetnsAbsent
from ctherd.model.debt import Debt
from ctherd.model.document import NetnsName
from ctherd.netlink.dialogue import Dialogue
from ctherd.netns.directory import Namespace
from ctherd.ports import Revocation, Revoked

_T = TypeVar("_T")


class Opener(Protocol):
    """What a revoker needs of a netns directory; all its own, as transports share a buffer."""

    def open(self, name: NetnsName) -> Namespace:
        """Open the netns called *name*."""


class FlowRevoker:
    """Speaks ctnetlink.

    Shape: *rivals* finds what others have in a netns that bears on helpers; *picks_up* tells
    whether a netns tracks TCP connections that it did not see opened.
    """

    def __init__(
        self,
        opener: Opener,
        rivals: Callable[[Revocation, Dialogue], Iterable[Finding]],
        picks_up: Callable[[NetnsName], bool],
    ) -> None:
        self._opener = opener
        self._rivals = rivals
        self._picks_up = picks_up
        self._one_at_a_time = threading.Lock()

    def revoke(self, revocation: Revocation) -> Revoked | CtherdError:
        """Pay what is owed, as far as it can be paid, and read back that it was."""
        return self._with_payment(revocation, Payment.run)

    def count(self, revocation: Revocation) -> Mapping[Debt, int] | CtherdError:
        """Count the flows that fall under each debt now, and change nothing."""
        return self._with_payment(revocation, Payment.count)

    def _with_payment(
        self, revocation: Revocation, step: Callable[[Payment], _T]
    ) -> _T | CtherdError:
        with self._one_at_a_time:
            return self._open_and(revocation, step)

    def _open_and(self, revocation: Revocation, step: Callable[[Payment], _T]) -> _T | CtherdError:
        netns = revocation.netns
        try:
            namespace = self._opener.open(netns)
        except CtherdError as error:
            return error
        try:
            if namespace.cookie != revocation.cookie:
                return NetnsAbsent("another network namespace has this name now", where=netns)
            dialogue = Dialogue(namespace.transport, netns)
            return step(
                Payment(
                    dialogue,
                    revocation,
                    lambda: self._rivals(revocation, dialogue),
                    lambda: self._picks_up(netns),
                )
            )
        except OSError as error:
            return DataplaneError("revoke", netns=netns, errno=error.errno or errno.EIO)
        except CtherdError as error:
            return error
        finally:
            namespace.close()
