"""Which versions of the API there are: what a client asks first."""

from ctherd.api.answer import Answer, answer
from ctherd.api.request import Request

_COLLECTIONS = {"router": "routers", "extension": "extensions"}


def versions(root: str) -> Answer:
    """Answer ``GET /``, open to everybody; *root* is the URL that was asked for."""
    links = [{"rel": "self", "href": f"{root.rstrip('/')}/v2.0/"}]
    return answer({"versions": [{"id": "v2.0", "status": "CURRENT", "links": links}]})


async def resources(request: Request) -> Answer:
    """Answer ``GET /v2.0/``."""
    root = request.url.rstrip("/")
    return answer(
        {
            "resources": [
                {
                    "name": name,
                    "collection": collection,
                    "links": [{"rel": "self", "href": f"{root}/{collection}"}],
                }
                for name, collection in _COLLECTIONS.items()
            ]
        }
    )
