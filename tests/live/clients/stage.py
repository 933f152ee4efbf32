"""A hub that requires tokens, behind a TCP proxy, and a backend that gives tickets to pages."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from pathlib import Path

import anyio.to_thread
import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from statushub.hub.intervals import Intervals
from tests.live.clients.answers import Answers
from tests.live.clients.running import TOKEN_FILE
from tests.support.asgi_server import live_server
from tests.support.live import LiveHub, live_hub
from tests.support.nginx_server import running_nginx
from tests.support.ports import free_port
from tests.support.proxy import Proxy
from tests.support.replacing import replace_text
from tests.support.tokens import SECRET, bearer, token

CHANNEL = "drafts"
"""The channel that the page's programs read."""

GRACE_SECONDS = 2.0
"""A hub that stops tells its clients to come back within this."""

EXPIRY = Intervals(expiry=0.1)


class Stage:
    """What the clients of one test see. `base_url` is the proxy's, `pages_url` that of the backend."""

    def __init__(self, folder: Path, portal: BlockingPortal, proxy: Proxy, answers: Answers) -> None:
        self.folder = folder
        self.answers = answers
        self.base_url = f"http://127.0.0.1:{proxy.port}"
        self.pages_url = ""
        self.html = ""
        self._portal = portal
        self._proxy = proxy
        self._port = proxy.target[1]
        self._hub = contextlib.ExitStack()
        self._token = token()
        self._expires = math.inf
        self._folders: list[Path] = []
        self._live: LiveHub | None = None

    # The hub

    @property
    def hub_url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start the hub with what its file holds."""
        broker = f"sqlite:///{self.folder / 'hub.db'}"
        started = live_hub(broker, port=self._port, secret=SECRET, grace=GRACE_SECONDS, intervals=EXPIRY)
        self._live = self._hub.enter_context(started)

    def stop(self) -> None:
        """Stop it, as on SIGTERM."""
        self._hub.close()

    @property
    def ended(self) -> int:
        """The streams that the running hub has ended because their token expired."""
        return self._live.hub.counts.dismissals if self._live else 0

    def forget(self) -> None:
        """Remove the stopped hub's file, so that its next epoch is another."""
        for path in self.folder.glob("hub.db*"):
            path.unlink()

    def publish(self, content_id: str, status: str, **data: str) -> None:
        """Publish one event into the programs' channel."""
        event = {"channel": CHANNEL, "content_id": content_id, "data": {"status": status, **data}}
        httpx.post(f"{self.hub_url}/api/publish", json=event, headers=bearer()).raise_for_status()

    # Between the hub and the clients

    def sever(self) -> None:
        """Cut all connections of the clients."""
        self._portal.call(self._proxy.sever)

    def cut(self) -> None:
        """Cut all connections of the clients within what comes next over them."""
        self._portal.call(self._proxy.cut)

    def lead_to(self, url: str) -> None:
        """Put the server at `url` between the clients and the hub."""
        self._proxy.target = ("127.0.0.1", int(url.rpartition(":")[2]))

    @contextlib.contextmanager
    def nginx(self) -> Iterator[None]:
        """Put nginx with deploy/nginx.conf between the clients and the hub, for the block."""
        folder = self.folder / "nginx"
        folder.mkdir()
        with running_nginx(folder, self.hub_url) as url:
            self.lead_to(url)
            yield

    # Credentials

    def renew(self, seconds: float = 3600) -> None:
        """Issue a token for so long, to the backend and to each program."""
        self._expires = time.time() + seconds
        self._token = token(exp=self._expires)
        for folder in self._folders:
            replace_text(folder / TOKEN_FILE, self._token)

    @property
    def token_expired(self) -> bool:
        """Whether the token that was issued last has expired."""
        return self._expires < time.time()

    def client_folder(self) -> Path:
        """A new folder for a program, with its token."""
        folder = self.folder / f"client-{len(self._folders)}"
        folder.mkdir()
        self._folders.append(folder)
        replace_text(folder / TOKEN_FILE, self._token)
        return folder

    # The backend of the pages

    async def page(self, request: Request) -> Response:
        """GET /"""
        return HTMLResponse(self.html)

    async def ticket(self, request: Request) -> Response:
        """GET /ticket"""
        return await anyio.to_thread.run_sync(self._ticket)

    def _ticket(self) -> Response:
        headers = {"Authorization": f"Bearer {self._token}"}
        with contextlib.suppress(httpx.HTTPError):
            answer = httpx.post(f"{self.hub_url}/api/tickets", headers=headers)
            if answer.status_code == 200:
                return PlainTextResponse(answer.json()["ticket"])
        return PlainTextResponse("no ticket", status_code=502)


@contextlib.contextmanager
def open_stage(folder: Path) -> Iterator[Stage]:
    """A running hub, its proxy and the backend, for the block."""
    answers = Answers()
    with contextlib.ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())
        proxy = Proxy(("127.0.0.1", free_port()), answers=answers)
        stack.enter_context(portal.wrap_async_context_manager(proxy))
        stage = Stage(folder, portal, proxy, answers)
        backend = Starlette(routes=[Route("/", stage.page), Route("/ticket", stage.ticket)])
        stage.pages_url = stack.enter_context(live_server(backend, http="h11"))
        stack.callback(stage.stop)
        stage.start()
        yield stage
