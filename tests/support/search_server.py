"""A search API on this machine, which answers as the documentation of Naver's search API says.

`https://developers.naver.com/docs/serviceapi/search/blog/blog.md`: `/v1/search/{blog,cafearticle,news}.json?query=…`
with the headers `X-Naver-Client-Id` and `X-Naver-Client-Secret`, and errors as `{"errorMessage","errorCode"}`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.asgi_server import live_server

CLIENT_ID: Final = "client-of-the-test"
CLIENT_SECRET: Final = "s3cret-of-the-test"

HEADERS: Final = (f"X-Naver-Client-Id: {CLIENT_ID}", f"X-Naver-Client-Secret: {CLIENT_SECRET}")
CATEGORIES: Final = ("blog=total", "cafe:cafearticle=total")

SERVICES: Final = ("blog", "cafearticle", "news")

DISPLAY_MAX: Final = 100

ERRORS: Final[Mapping[str, tuple[int, str]]] = {
    "010": (429, "Query limit exceeded (쿼리한도초과)"),
    "012": (429, "Rate limit exceeded. (속도 제한을 초과했습니다.)"),
    "024": (401, "Not Exist Client ID : Authentication failed. (인증에 실패했습니다.)"),
    "SE01": (400, "Incorrect query request (잘못된 쿼리요청입니다.)"),
    "SE02": (400, "Invalid display value (부적절한 display 값입니다.)"),
    "SE05": (404, "Invalid search api (존재하지 않는 검색 api 입니다.)"),
    "SE06": (400, "Malformed encoding (잘못된 형식의 인코딩입니다.)"),
    "SE99": (500, "System Error (시스템 에러)"),
}


class SearchServer:
    """Its state. `answers` are given before its own: the code of an error, or a response. `asked` are the queries in
    their order, by service."""

    def __init__(self) -> None:
        self.base_url = ""
        self.answers: deque[str | Response] = deque()
        self.asked: list[tuple[str, str]] = []
        self.totals: dict[tuple[str, str], int] = {}
        self.refused: set[str] = set()

    @property
    def address(self) -> str:
        """What to ask, as a setting has it."""
        return f"{self.base_url}/v1/search/{{category}}.json?query={{keyword}}&display=1"

    async def search(self, request: Request) -> Response:
        service, query = request.path_params["service"], request.query_params.get("query", "")
        self.asked.append((service, query))
        if self.answers:
            given = self.answers.popleft()
            return error(given) if isinstance(given, str) else given
        sent = request.headers
        if (sent.get("x-naver-client-id"), sent.get("x-naver-client-secret")) != (CLIENT_ID, CLIENT_SECRET):
            return error("024")
        if service not in SERVICES:
            return error("SE05")
        if "\ufffd" in query:
            return error("SE06")
        if not query.strip() or query in self.refused:
            return error("SE01")
        display = request.query_params.get("display", "10")
        if not display.isdecimal() or not 1 <= int(display) <= DISPLAY_MAX:
            return error("SE02")
        total = self.totals.get((service, query), len(query) * 100)
        answer: dict[str, Any] = {"lastBuildDate": "Mon, 30 Nov 2026 18:00:00 +0900", "total": total, "start": 1}
        return JSONResponse(answer | {"display": min(int(display), total), "items": []})


def error(code: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error as the API answers it."""
    status, message = ERRORS[code]
    return JSONResponse({"errorMessage": message, "errorCode": code}, status_code=status, headers=headers)


@contextmanager
def search_server() -> Iterator[SearchServer]:
    """The API for the time of the block."""
    server = SearchServer()
    app = Starlette(routes=[Route("/v1/search/{service}.json", server.search)])
    with live_server(app, http="h11") as server.base_url:
        yield server
