"""The API's documentation: the OpenAPI document, and pages to try it in, from this server alone.

The pages are those of Swagger UI out of a package; no browser that opens them asks anybody else.
"""

import json
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from swagger_ui_bundle import swagger_ui_path

from ctherd.api.openapi import document

_OWN_ONLY: Final = {
    "content-security-policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; frame-ancestors 'none'"
}

_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>ctherd API</title>
<link rel="stylesheet" href="docs/assets/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/assets/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""

_START: Final = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
});
"""


def routes() -> list[BaseRoute]:
    """Return the routes of the document and of the pages; they are open to everybody."""
    spelled = json.dumps(document())

    async def openapi(_: Request) -> Response:
        return Response(spelled, media_type="application/json")

    async def page(_: Request) -> Response:
        return HTMLResponse(_PAGE, headers=_OWN_ONLY)

    async def start(_: Request) -> Response:
        return Response(_START, media_type="text/javascript")

    return [
        Route("/openapi.json", openapi),
        Route("/docs", page),
        Route("/docs/start.js", start),
        Mount("/docs/assets", StaticFiles(directory=swagger_ui_path)),
    ]
