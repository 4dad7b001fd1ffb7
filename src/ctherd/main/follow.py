"""Puts the parts together that let an agent follow a server; imported only by one that does."""

import platform
from dataclasses import asdict, dataclass
from pathlib import Path
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
from ctherd.main.wiring import Host
from ctherd.model.router import HostName

SILENCE_S: Final = 20.0
"""Longer than a few heartbeats of the server: then it is asked anew."""


@dataclass(frozen=True, slots=True)
class Followed:
    """The server of an agent, as the command line names it.

    Shape: *server_keys* None means PINNED_FILE in the state directory.
    """

    url: str
    host: str
    token_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    authorities: Path | None = None
    server_keys: Path | None = None


def server_source(config: Config, host: Host, followed: Followed) -> ServerSource:
    """Return the source of documents that *followed* is.

    Raises: ConfigurationError, JournalError.
    """
    address = ServerAddress(
        followed.url,
        HostName(followed.host),
        followed.token_file,
        followed.certificate,
        followed.key,
        followed.authorities,
    )
    client = ServerClient(address, silence_s=SILENCE_S)
    cache = DocumentCache(config.state_dir / CACHE_FILE)
    trust = Trust(followed.server_keys or config.state_dir / PINNED_FILE, cache)
    facts = {
        "version": __version__,
        "kernel": platform.release(),
        "started_at": now(),
        "capabilities": asdict(host.dataplane.capabilities()),
    }
    return ServerSource(
        client,
        Belief(HostName(followed.host), trust, cache),
        facts,
        reconnect=Backoff(2.0, 60.0),
        retry=Backoff(1.0, 30.0),
    )
