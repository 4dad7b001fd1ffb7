"""Who must not be here beside us: Neutron's own extension, and another ctherd."""

import time
from contextlib import ExitStack
from typing import Final

from oslo_config import cfg

from ctherd.errors import Busy, ConfigurationError
from ctherd.journal.state_dir import StateDirectory
from ctherd.main.agent import only_agent
from ctherd.main.config import Config

_IN_TREE: Final = "conntrack_helper"
_RETRY_S: Final = 0.2


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


def claim(config: Config, patience_s: float) -> ExitStack:
    """Claim the namespaces and the state directory of *config*, until what is returned is closed.

    Shape: a former L3 agent that was killed may take *patience_s* to be gone.
    Raises: Busy if a ctherd agent, or another L3 agent with this extension, has them; JournalError
    if the state directory cannot be used.
    """
    give_up_s = time.monotonic() + patience_s
    while True:
        try:
            return _claim(config)
        except Busy:
            if time.monotonic() > give_up_s:
                raise
        time.sleep(_RETRY_S)


def _claim(config: Config) -> ExitStack:
    with ExitStack() as claims:
        claims.enter_context(only_agent(config.netns_dir))
        claims.enter_context(StateDirectory(config.state_dir))
        return claims.pop_all()
