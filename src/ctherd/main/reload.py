"""What SIGHUP changes in a running agent, and what it says of the rest."""

import logging
from collections.abc import Callable
from dataclasses import fields
from typing import Final

from ctherd.guard.decide import Guard
from ctherd.main.config import Config
from ctherd.model.safe_scope import SafeScope
from ctherd.service.host import HostService

_log: Final = logging.getLogger("ctherd.agent")

RELOADABLE: Final = ("log_format", "log_level", "sweep_interval_s", "max_removals", "policy")
"""What a running agent takes over; ``reference.toml`` names the same."""

_NOT_THE_AGENTS: Final = ("server",)


class Reload:
    """Applies a changed configuration.

    Shape: *read* returns what is configured now, *running* is what the agent was started with;
    *narrow*, *set_up_log* and *sweep_every* take over their part of it.
    """

    def __init__(
        self,
        read: Callable[[], Config],
        running: Config,
        service: HostService,
        *,
        narrow: Callable[[SafeScope], None],
        set_up_log: Callable[[Config], None],
        sweep_every: Callable[[float], None],
    ) -> None:
        self._read = read
        self._running = running
        self._service = service
        self._narrow = narrow
        self._set_up_log = set_up_log
        self._sweep_every = sweep_every

    def __call__(self) -> None:
        """Read the configuration again, and take over what can be without a restart.

        Raises: ConfigurationError, with nothing changed.
        """
        config = self._read()
        self._narrow(config.policy.scope)
        self._set_up_log(config)
        self._service.set_guard(Guard(config.policy))
        self._service.set_limits(config.max_removals)
        self._sweep_every(config.sweep_interval_s)
        for name in self._needs_restart(config):
            _log.warning(
                "%s was changed in the configuration, and stays as it was until a restart", name
            )

    def _needs_restart(self, config: Config) -> list[str]:
        others = {each.name for each in fields(Config)}.difference(RELOADABLE, _NOT_THE_AGENTS)
        return sorted(
            name for name in others if getattr(config, name) != getattr(self._running, name)
        )
