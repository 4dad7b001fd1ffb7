"""Say what to install when the programs of the demo cannot run."""

from importlib.util import find_spec

from ctherd.errors import ConfigurationError

_NEEDED = ("pyftpdlib", "tftpy", "uvicorn")


def require() -> None:
    """Check that the libraries of the demo are installed.

    Raises: ConfigurationError with the command that installs them.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"the demo needs {' and '.join(missing)}", cure="pip install 'ctherd[demo]'"
        )
