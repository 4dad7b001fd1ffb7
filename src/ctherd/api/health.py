"""Is this server alive, and is it fit to be asked: for load balancers and service managers."""

from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Troubles = Callable[[], Sequence[str]]
"""Says why the server should not be asked now; empty: it should."""


def routes(troubles: Troubles) -> list[Route]:
    """Return the routes, which are open to everybody and tell nothing of anybody."""

    async def alive(_: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def ready(_: Request) -> Response:
        found = list(troubles())
        said = {"status": "not ready" if found else "ready", "troubles": found}
        return JSONResponse(said, 503 if found else 200)

    return [Route("/healthz", alive), Route("/readyz", ready)]
