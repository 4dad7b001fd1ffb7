"""The options of the extension: section ``[ctherd]`` of l3_agent.ini, by oslo.config.

``list_options`` is what oslo-config-generator prints a sample from. Both sides of the privilege
boundary read the same files; what the privileged side may do is not for the other side to say.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from oslo_config import cfg

from ctherd.guard.policy import Policy
from ctherd.main.config import AUTO, Config
from ctherd.model.catalog import names

GROUP: Final = "ctherd"

_DATAPLANES: Final = [
    (AUTO, "the first of these that this host has"),
    ("nftables", "a table of our own in each namespace"),
    ("iptables-nft", "a chain of our own in the raw tables, by iptables-nft"),
    ("iptables-legacy", "a chain of our own in the raw tables, by iptables-legacy"),
]

OPTIONS: Final[Sequence[cfg.Opt]] = (
    cfg.StrOpt(
        "dataplane",
        default=AUTO,
        choices=_DATAPLANES,
        help="What makes helpers true in the kernel. Changing it moves everything over at the next "
        "start, without a gap.",
    ),
    cfg.BoolOpt(
        "own_table",
        default=True,
        help="Have the kernel refuse changes of our table by anybody else, where it can (nftables, "
        "Linux 6.9). Our table is guarded for as long as the privileged daemon lives.",
    ),
    cfg.StrOpt(
        "state_dir",
        default="$state_path/ctherd",
        help="Where the journal is kept: what was made here, and under which mark. The L3 agent "
        "must be able to write there; it must not be shared, and not be lost.",
    ),
    cfg.StrOpt(
        "netns_dir",
        default="/run/netns",
        help="Where the network namespaces of routers are mounted.",
    ),
    cfg.FloatOpt(
        "sweep_interval",
        default=30.0,
        min=0.1,
        help="Seconds between looks at every router, in case an event of the kernel was lost.",
    ),
    cfg.FloatOpt(
        "pull_interval",
        default=300.0,
        min=0.1,
        help="Seconds between pulls of every router's helpers from the server, in case a message "
        "was lost. A pull is one call for up to 200 routers.",
    ),
    cfg.ListOpt(
        "allowed_helpers",
        default=[],
        mutable=True,
        help="Helpers that may be enforced on this host, whatever the server allows. Empty: all "
        f"that there are, which is {', '.join(names())}.",
    ),
    cfg.ListOpt(
        "deny",
        default=[],
        mutable=True,
        help="Helpers that are withdrawn from every router at once, and from the flows that have "
        "them, whatever the server says: for the day of a vulnerability.",
    ),
    cfg.IntOpt(
        "max_per_router",
        min=0,
        mutable=True,
        help="How many helpers one router may have on this host. Unset: any number.",
    ),
)


def list_options() -> Iterable[tuple[str, Sequence[cfg.Opt]]]:
    """Return the options by section, for oslo-config-generator."""
    return [(GROUP, list(OPTIONS))]


def register(conf: cfg.ConfigOpts) -> None:
    """Make the options known to *conf*; doing it again is no error."""
    conf.register_opts(OPTIONS, GROUP)


def privileged_configuration(conf: cfg.ConfigOpts) -> Config:
    """Return what *conf* says of the privileged side, which knows no option of Neutron's."""
    given = conf[GROUP]
    return Config(
        netns_dir=Path(given.netns_dir), dataplane=given.dataplane, own_table=given.own_table
    )


def configuration(conf: cfg.ConfigOpts) -> Config:
    """Return what *conf* says, as every other part of ctherd has it.

    Raises: ConfigurationError for a helper that there is not.
    """
    given = conf[GROUP]
    return replace(
        privileged_configuration(conf),
        state_dir=Path(given.state_dir),
        sweep_interval_s=given.sweep_interval,
        policy=Policy(
            allowed_helpers=frozenset(given.allowed_helpers) or None,
            kill=frozenset(given.deny),
            max_per_router=given.max_per_router,
        ),
    )
