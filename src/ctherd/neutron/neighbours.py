"""Who must not be here beside us: Neutron's own extension, and another ctherd."""

import socket
from pathlib import Path
from typing import Final

from oslo_config import cfg

from ctherd.errors import ConfigurationError
from ctherd.main.agent import only_agent

_IN_TREE: Final = "conntrack_helper"


def refuse_in_tree_extension(conf: cfg.ConfigOpts) -> None:
    """Check that helpers are not made by two.

    Raises: ConfigurationError.
    """
    if _IN_TREE in conf.agent.extensions:
        raise ConfigurationError(
            f"ctherd takes the place of {_IN_TREE}: both would assign the same helpers, and what "
            "one removes the other keeps",
            where="[agent] extensions",
            cure=f"take {_IN_TREE} out of it; what it has made is taken over without a gap",
        )


def refuse_other_agents(netns_dir: Path) -> socket.socket:
    """Claim the namespaces for as long as the returned socket is open.

    Raises: Busy if a ctherd agent, or another L3 agent with this extension, has them.
    """
    return only_agent(netns_dir)
