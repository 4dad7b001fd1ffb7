"""The hands of the lab: ctherd as a command has it, with a journal that lasts as long as a case.

Which dataplanes they use is decided here as well.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ctherd.dataplane.iptables.variant import Variant
from ctherd.errors import ConfigurationError
from ctherd.lab.namespace import NETNS_DIR
from ctherd.main.config import Config
from ctherd.main.dataplanes import NFTABLES, choose, host_variant, unusable_here
from ctherd.main.wiring import Host, opened
from ctherd.model.document import Document


@dataclass(frozen=True, slots=True)
class HostHands:
    """Applies by the service that `ctherd apply` asks."""

    host: Host

    def apply(self, wanted: Document) -> Mapping[str, Any]:
        """Make the document true, and pay what that owes to live flows."""
        # The whole of what is managed may go: nothing else is ever in this journal.
        return self.host.service.apply([wanted], confirmed=True)


@contextmanager
def hire(dataplane: str) -> Iterator[HostHands]:
    """Have hands for *dataplane*; afterwards they hold no netns, and their journal is gone.

    Nothing of this host's configuration bears on them: its policy is not what the lab proves.
    """
    with tempfile.TemporaryDirectory(prefix="ctherd-lab-") as state:
        config = Config(state_dir=Path(state), netns_dir=NETNS_DIR, dataplane=dataplane)
        with opened(config, stays=False) as host:
            try:
                yield HostHands(host)
            finally:
                host.dataplane.release(list(host.service.reconciler.entries))


def dataplanes(asked: str | None, config: Config) -> tuple[str, ...]:
    """Return the dataplanes that *asked* means: one of its own name, "iptables", "both" or "auto".

    Of iptables it is the variant that this host uses; without *asked*, what *config* means.
    Raises: ConfigurationError if one cannot be used here.
    """
    iptables = (host_variant() or Variant.NFT).value
    several = {"iptables": (iptables,), "both": (NFTABLES, iptables)}
    if asked not in several:
        return (choose(replace(config, dataplane=asked or config.dataplane), unusable_here).name,)
    for name in several[asked]:
        if reason := unusable_here(name):
            raise ConfigurationError(f"the dataplane {name} cannot be used here: {reason}")
    return several[asked]
