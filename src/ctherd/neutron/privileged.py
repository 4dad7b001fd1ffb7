"""The privilege boundary: everything that runs as root is called from here, and takes plain data.

A call is for a whole batch of routers. With each goes what was let go of since the last one, so
that it needs no call of its own. The context keeps three capabilities: to enter namespaces, to
change nf_tables and conntrack, and to hear the events of all namespaces by one socket.
"""

import threading
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Final, ParamSpec

from oslo_config import cfg
from oslo_privsep import capabilities

from ctherd.errors import CtherdError
from ctherd.journal.lines import as_lines, from_lines
from ctherd.neutron import options, plain
from ctherd.neutron.mortal_context import MortalContext
from ctherd.neutron.plain import Plain
from ctherd.neutron.privileged_side import PrivilegedSide

SECTION: Final = "privsep_ctherd"

context = MortalContext(
    __name__,
    cfg_section=SECTION,
    pypath=f"{__name__}.context",
    capabilities=[
        capabilities.CAP_NET_ADMIN,
        capabilities.CAP_NET_BROADCAST,
        capabilities.CAP_SYS_ADMIN,
    ],
)
# A revocation may take as long as a router has flows; commits go on beside it.
cfg.CONF.set_default("thread_pool_size", 4, group=SECTION)

_P = ParamSpec("_P")

_making: Final = threading.Lock()
_made: list[PrivilegedSide] = []


def _side() -> PrivilegedSide:
    """Return what this process holds, made on first use.

    Raises: CtherdError.
    """
    with _making:
        if not _made:
            options.register(cfg.CONF)
            _made.append(PrivilegedSide(options.privileged_configuration(cfg.CONF)))
        return _made[0]


def _errors_as_data(call: Callable[_P, Plain]) -> Callable[_P, Plain]:
    """Let an error of ours be the answer: by itself it would lose where it was and what cures it.

    Shape: ("error", …), else ("answer", what *call* returns).
    """

    @wraps(call)
    def answered(*args: _P.args, **kwargs: _P.kwargs) -> Plain:
        try:
            return "answer", call(*args, **kwargs)
        except CtherdError as error:
            return plain.error_to_plain(error)

    return answered


@context.entrypoint
@_errors_as_data
def describe() -> Plain:
    """Return the capabilities of the dataplane, its name, and why it is this one."""
    return _side().describe()


@context.entrypoint
@_errors_as_data
def identify(released: Sequence[Any], names: Sequence[Any]) -> Plain:
    """Return a cookie or an error for each name, and listen to what happens there."""
    side = _side()
    side.release(plain.names_from_plain(released))
    return [plain.identity_to_plain(each) for each in side.identify(plain.names_from_plain(names))]


@context.entrypoint
@_errors_as_data
def observe(released: Sequence[Any], requests: Sequence[Any]) -> Plain:
    """Return what the kernel says of each netns."""
    side = _side()
    side.release(plain.names_from_plain(released))
    asked = [plain.request_from_plain(each) for each in requests]
    return [plain.observed_to_plain(each) for each in side.observe(asked)]


@context.entrypoint
@_errors_as_data
def commit(released: Sequence[Any], transactions: Sequence[Any]) -> Plain:
    """Carry out each transaction."""
    side = _side()
    side.release(plain.names_from_plain(released))
    asked = [plain.transaction_from_plain(each) for each in transactions]
    return [plain.outcome_to_plain(each) for each in side.commit(asked)]


@context.entrypoint
@_errors_as_data
def release(names: Sequence[Any]) -> Plain:
    """Let go of these netns."""
    _side().release(plain.names_from_plain(names))


@context.entrypoint
@_errors_as_data
def revoke(revocation: Any) -> Plain:
    """Pay what is owed to the flows of one netns."""
    return plain.revoked_to_plain(_side().revoke(plain.revocation_from_plain(revocation)))


@context.entrypoint
@_errors_as_data
def look_around(netns: Any, tag: Any, assigned: Any) -> Plain:
    """Return what there is in one netns besides our assignments, for a person to see."""
    keys = from_lines(assigned)[0]
    return _side().look_around(plain.netns_from_plain(netns), plain.tag_from_plain(tag), keys)


@context.entrypoint
@_errors_as_data
def find_inherited(kept: Sequence[Any]) -> Plain:
    """Return (netns, assignments, other rules) where Neutron's extension left chains."""
    found = _side().find_inherited(frozenset(plain.names_from_plain(kept)))
    return [(left.netns, as_lines(left.assigned), left.unknown) for left in found]


@context.entrypoint
@_errors_as_data
def remove_inherited(names: Sequence[Any]) -> Plain:
    """Remove these chains; return the errors."""
    errors = _side().inheritance.remove(plain.names_from_plain(names))
    return [plain.error_to_plain(each) for each in errors]


@context.entrypoint
@_errors_as_data
def tell_events(address: str, secret: str) -> Plain:
    """Tell whoever listens at *address*, and shows by *secret* that it is who asked, of commits."""
    _side().tell_events(address, secret)
