"""The API's description (OpenAPI 3.1), which is written by hand beside the code and shipped with it."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

DESCRIPTION: Final = files("statushub.hub").joinpath("openapi.json").read_bytes()


async def description(_request: Request) -> Response:
    """The description, as it stands."""
    return Response(DESCRIPTION, headers={"Cache-Control": "no-cache"}, media_type="application/json")


routes: Final = [Route("/openapi.json", description)]
