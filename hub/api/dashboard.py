"""The dashboard: one document at `/` for all of its pages, and its files at `/assets/`. There is no build step."""

from __future__ import annotations

from functools import cache
from html import escape
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from statushub.hub.api import results
from statushub.hub.http.entity_tags import holds
from statushub.hub.http.route import Route
from statushub.hub.http.state import config_of

WEB: Final = Path(__file__).parents[2] / "web"
"""The folder of the page's files, which is installed beside this package."""

PAGE: Final = "dashboard/index.html"

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:{results}; "
    "connect-src 'self'{results}; media-src 'self' blob:{results}; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
"""The page may load from its own origin, and nothing inline: a status that was injected as markup would be inert.
Results may come from the origin that the settings name; `data:` is the icon of the tab, which the page draws."""

RESULTS_META: Final = '<meta name="results" content="{address}" />'
"""Tells the page where results are."""

DOCUMENTS_META: Final = '<meta name="documents" content="{counted}" />'
"""Tells the page whether documents are counted, whose progress it then shows."""

HEADERS: Final = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": POLICY.format(results=""),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # For browsers that do not know frame-ancestors.
    "X-Frame-Options": "DENY",
}
"""`no-cache`, because file names have no version: browsers revalidate each file and mostly get a 304. Without it they
would use the scripts of an earlier hub after an upgrade."""


class Assets(StaticFiles):
    """Static files under `HEADERS`, whose tags are compared as those of polls."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update(HEADERS)
        return response

    def is_not_modified(self, response_headers: Headers, request_headers: Headers) -> bool:
        if "if-none-match" in request_headers:
            # It takes precedence over `If-Modified-Since` (RFC 9110, section 13.2.2).
            return holds(request_headers, response_headers["etag"].strip('"'))
        return super().is_not_modified(response_headers, request_headers)


ASSETS: Final = Assets(directory=WEB)


async def dashboard(request: Request) -> Response:
    """GET /"""
    settings = config_of(request)
    address = results.PREFIX if settings.results_dir else settings.results_url
    if not (address or settings.counts_documents):
        return await ASSETS.get_response(PAGE, request.scope)
    page = _page().replace(RESULTS_META.format(address=""), RESULTS_META.format(address=escape(address)))
    if settings.counts_documents:
        page = page.replace(DOCUMENTS_META.format(counted=""), DOCUMENTS_META.format(counted="on"))
    url = urlsplit(address)
    origin = f" {url.scheme}://{url.netloc}" if url.scheme else ""
    return HTMLResponse(page, headers={**HEADERS, "Content-Security-Policy": POLICY.format(results=origin)})


@cache
def _page() -> str:
    return (WEB / PAGE).read_text(encoding="utf-8")


routes: Final[list[BaseRoute]] = [
    Route("/", dashboard),
    Mount("/assets", ASSETS, name="assets"),
]
