"""The dashboard: one page at `/` and its files at `/assets/`. There is no build step."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from statushub.hub.http.route import Route

WEB: Final = Path(__file__).parents[2] / "web"
"""The folder of the page's files, which is installed beside this package."""

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""The page may load from its own origin, and nothing inline: a status that was injected as markup would be inert."""

HEADERS: Final = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # For browsers that do not know frame-ancestors.
    "X-Frame-Options": "DENY",
}
"""`no-cache`, because file names have no version: browsers revalidate each file and mostly get a 304. Without it they
would use the scripts of an earlier hub after an upgrade."""


class Assets(StaticFiles):
    """Static files under `HEADERS`."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update(HEADERS)
        return response


async def dashboard(_request: Request) -> Response:
    """GET /"""
    return FileResponse(WEB / "index.html", headers=HEADERS)


routes: Final[list[BaseRoute]] = [
    Route("/", dashboard),
    Mount("/assets", Assets(directory=WEB), name="assets"),
]
