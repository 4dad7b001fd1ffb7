"""Puts the parts together that let an agent follow a server; imported only by one that does."""

import platform
import socket
from dataclasses import asdict
from typing import Final

from ctherd import __version__
from ctherd.agent.backoff import Backoff
from ctherd.agent.belief import Belief
from ctherd.agent.document_cache import CACHE_FILE, DocumentCache
from ctherd.agent.fare import now
from ctherd.agent.server import ServerSource
from ctherd.agent.server_client import ServerAddress, ServerClient
from ctherd.agent.trust import PINNED_FILE, Trust
from ctherd.main.config import Config
from ctherd.main.server_config import FollowOptions
from ctherd.main.wiring import Host
from ctherd.model.router import HostName

SILENCE_S: Final = 20.0
"""Longer than a few heartbeats of the server: then it is asked anew."""


def server_source(config: Config, host: Host, follow: FollowOptions) -> ServerSource:
    """Return the source of documents that the server of *follow* is.

    Raises: ConfigurationError, JournalError.
    """
    name = HostName(follow.host or socket.gethostname())
    address = ServerAddress(
        follow.server, name, follow.token_file, follow.certificate, follow.key, follow.ca
    )
    client = ServerClient(address, silence_s=SILENCE_S)
    cache = DocumentCache(config.state_dir / CACHE_FILE)
    trust = Trust(follow.server_keys or config.state_dir / PINNED_FILE, cache)
    facts = {
        "version": __version__,
        "kernel": platform.release(),
        "started_at": now(),
        "capabilities": asdict(host.dataplane.capabilities()),
    }
    return ServerSource(
        client,
        Belief(name, trust, cache),
        facts,
        reconnect=Backoff(2.0, 60.0),
        retry=Backoff(1.0, 30.0),
    )
