"""The dashboard: one page at `/` and what it loads from `/assets/`. Files as they are, no build step."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

WEB: Final = Path(__file__).parents[2] / "web"
"""The page's files, as a package's neighbours are installed."""

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
"""What the page may do: load from its own origin, and nothing inline. A status that became markup would be inert."""

HEADERS: Final = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # For browsers that do not know frame-ancestors.
    "X-Frame-Options": "DENY",
}
"""`no-cache`: names carry no version, so a browser asks each time and mostly gets a 304; without it a browser
guesses, and an upgraded hub meets last week's script."""


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
