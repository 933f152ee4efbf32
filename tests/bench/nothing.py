"""A POST that does nothing, on the hub's server and behind its middleware: the lower bound of a poll's cost."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from statushub.hub.config import LOCAL_ORIGINS


async def nothing(request: Request) -> Response:
    await request.body()
    return Response(b"{}", media_type="application/json")


app = CORSMiddleware(Starlette(routes=[Route("/", nothing, methods=["POST"])]), allow_origins=LOCAL_ORIGINS)
