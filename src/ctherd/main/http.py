"""Where the server may listen, and how: refusing what would give secrets away."""

import ssl
from ipaddress import ip_address

from ctherd.api.tls import TlsFiles, server_context
from ctherd.errors import ConfigurationError
from ctherd.main.server_config import ServerOptions, TlsOptions


def tls_files(options: TlsOptions) -> TlsFiles | None:
    """Return the files of TLS, None if there shall be none.

    Raises: ConfigurationError.
    """
    if options.certificate is None or options.key is None:
        if options.certificate or options.key or options.client_ca:
            raise ConfigurationError(
                "server.tls: a certificate and its key belong together",
                cure="give both, or neither and no client_ca",
            )
        return None
    return TlsFiles(options.certificate, options.key, options.client_ca)


def listening_tls(options: ServerOptions) -> ssl.SSLContext | None:
    """Return the TLS to listen with, None for plain HTTP.

    Raises: ConfigurationError, also where plain HTTP would send tokens over a network.
    """
    files = tls_files(options.tls)
    if files is not None:
        return server_context(files)
    host = options.listen.host
    if not ip_address(host).is_loopback and not options.plain_http:
        raise ConfigurationError(
            f"without TLS, tokens could be read on their way to {host}",
            cure="give [server.tls] a certificate; or, behind a proxy that speaks TLS, set "
            "plain_http = true",
        )
    return None
