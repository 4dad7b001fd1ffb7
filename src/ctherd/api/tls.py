"""TLS for the server: its certificate, and whose certificates it believes."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from ctherd.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where they are (PEM): the certificate with its chain, its key, and who vouches for agents."""

    certificate: Path
    key: Path
    client_authorities: Path | None = None


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """Return a context that serves with *files*.

    Shape: a client may show a certificate, and need not: tenants prove themselves by tokens.
    Raises: ConfigurationError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if files.client_authorities is not None:
        context.verify_mode = ssl.CERT_OPTIONAL
        _load(context, files.client_authorities)
    load_certificate(context, files)
    return context


def load_certificate(context: ssl.SSLContext, files: TlsFiles) -> None:
    """Serve new connections with what the files hold now.

    Raises: ConfigurationError; the context is as it was then.
    """
    try:
        # Tried first on a context of its own: half of a pair must not stay in use.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.certificate, files.key)
        context.load_cert_chain(files.certificate, files.key)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"this certificate and its key cannot be used: {error}",
            where=f"{files.certificate}, {files.key}",
        ) from error


def _load(context: ssl.SSLContext, authorities: Path) -> None:
    try:
        context.load_verify_locations(authorities)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"these authorities cannot be used: {error}", where=str(authorities)
        ) from error
