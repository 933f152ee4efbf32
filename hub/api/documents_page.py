"""The page of document counts at `/documents/`, whose files are among the dashboard's."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from statushub.hub.api.dashboard import ASSETS
from statushub.hub.http.route import Route

PAGE: Final = "documents/index.html"


async def page(request: Request) -> Response:
    """GET /documents/"""
    return await ASSETS.get_response(PAGE, request.scope)


async def without_slash(request: Request) -> Response:
    """GET /documents, where the page's relative addresses would lead elsewhere."""
    return RedirectResponse("documents/", status_code=308)


routes: Final = [Route("/documents/", page), Route("/documents", without_slash)]
