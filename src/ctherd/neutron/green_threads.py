"""Whether threads are threads, which up to Neutron 26 they are not in an L3 agent.

It imports nothing that cannot be imported there: Neutron would log that, and go on without us.
"""

import sys

from ctherd.errors import ConfigurationError


def refuse_green_threads() -> None:
    """Check that a thread is a thread: in a green one our loop would stop the whole L3 agent.

    Raises: ConfigurationError.
    """
    eventlet = sys.modules.get("eventlet")
    if eventlet is not None and eventlet.patcher.is_monkey_patched("thread"):
        raise ConfigurationError(
            "this L3 agent works in green threads (eventlet), in which ctherd cannot",
            where="[agent] extensions",
            cure="use Neutron 27 (2025.2) or newer, whose L3 agent works in threads",
        )
