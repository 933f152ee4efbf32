"""A server that behaves as the documentation of Meta's Graph API says, as far as the sync of Instagram calls it.

The accounts, their posts and comments are made from a seed, so that a test can compare what was stored with all of it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import random
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import anyio
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.support.asgi_server import live_server

VERSION: Final = "v26.0"

MEDIA_MAX: Final = 100
COMMENTS_MAX: Final = 50
DEFAULT_LIMIT: Final = 25

WINDOW: Final = 30 * 24 * 3600
"""Seconds between `since` and `until`, at most."""

MINUTE: Final = 60.0
"""Seconds of a minute, in which the time is told until an account may call again."""

FEW_FOLLOWERS: Final = 100
"""Below it an account has no `follower_count` of days."""

DAILY: Final = ("reach", "follower_count", "online_followers")
TOTALS: Final = ("views", "total_interactions", "accounts_engaged", "likes", "comments", "shares", "saves", "replies")
"""Metrics that the server knows."""

HTML: Final = "<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>"


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What the next call of a path gets instead of its answer. With `code` it is an error of the API, else a `body`,
    and with `cut` the connection ends in the middle of it."""

    code: int = 0
    subcode: int = 0
    message: str = "An error"
    status: int = 400
    is_transient: bool = False
    body: str = ""
    cut: bool = False
    headers: Mapping[str, str] = {}


FAILING: Final = (
    Fault(code=1, status=500, message="An unknown error occurred"),
    Fault(code=2, status=500, message="Service temporarily unavailable", is_transient=True),
    Fault(status=502, body=HTML),
    Fault(status=200, body=HTML),
    Fault(status=200, body='{"data":[{"id":"1'),
    Fault(cut=True),
)
"""What a call may meet that would succeed if it were repeated."""


class Post(msgspec.Struct, kw_only=True):
    """A post, and its comments: dictionaries with all fields, the replies of a comment among them."""

    fields: dict[str, Any]
    comments: list[dict[str, Any]]


class User(msgspec.Struct, kw_only=True):
    """An account; a token that is `dead` is refused."""

    token: str
    profile: dict[str, Any]
    posts: list[Post]
    dead: bool = False

    @property
    def id(self) -> str:
        return str(self.profile["id"])


class GraphServer:
    """Its accounts by their ids, what was asked, and what the next calls get."""

    def __init__(self, users: Sequence[User], *, now: datetime, failing: float = 0.0, seed: int = 1) -> None:
        """`failing` is the part of calls that get one of `FAILING`; `now` is the time of the server."""
        self.now = now
        self.users = {user.id: user for user in users}
        self.posts = {str(post.fields["id"]): (user, post) for user in users for post in user.posts}
        self.url = ""
        self.calls: list[tuple[str, dict[str, str]]] = []
        self.paths: Counter[str] = Counter()
        self.tokens: Counter[str] = Counter()
        self.faults: dict[str, deque[Fault]] = {}
        self.usage: dict[str, str] = {}
        self.account_limit: tuple[int, float] | None = None
        """How many calls of an account are taken in so many seconds; it is told how long it has to wait."""
        self.limit_each = 0
        """Of so many calls the last is refused by a limit, in turn of the account and of the app."""
        self.limited = 0
        self.comments = 0
        self.together = self.most_together = 0
        """Calls for comments that are answered now, and most of them."""
        self.hold_after: int | None = None
        """After so many calls for comments, further ones wait until this is None again."""
        self.empty_pages = False
        self._random = random.Random(seed)
        self._failing = failing
        self._taken: dict[str, list[float]] = {}

    def fail(self, path: str, *faults: Fault) -> None:
        """Let the next calls of a path, which begins behind the version, get these."""
        self.faults.setdefault(path, deque()).extend(faults)

    async def answer(self, request: Request) -> Response:
        """Any call."""
        if not request.url.path.endswith("/comments"):
            return self._answer(request)
        self.comments += 1
        self.together += 1
        self.most_together = max(self.most_together, self.together)
        try:
            while self.hold_after is not None and self.comments > self.hold_after:
                await anyio.sleep(0.005)
            return self._answer(request)
        finally:
            self.together -= 1

    def _answer(self, request: Request) -> Response:
        path, query = request.path_params["path"], dict(request.query_params)
        token = query.pop("access_token", "")
        self.calls.append((path, query))
        self.paths[path] += 1
        self.tokens[token] += 1
        if self.faults.get(path):
            return self._fault(self.faults[path].popleft())
        if self._failing and self._random.random() < self._failing:
            return self._fault(self._random.choice(FAILING))
        if not token:
            return self._fault(Fault(code=104, message="An access token is required to request this resource."))
        name, _, edge = path.partition("/")
        user = self.users.get(name) or (self.posts[name][0] if name in self.posts else None)
        if user is None or user.token != token:
            if token not in {each.token for each in self.users.values()}:
                return self._fault(Fault(code=190, message=f"Malformed access token {token}"))
            message = f"Unsupported get request. Object with ID '{name}' does not exist"
            return self._fault(Fault(code=100, subcode=33, message=message))
        if user.dead:
            return self._fault(
                Fault(code=190, subcode=463, message="Error validating access token: Session has expired")
            )
        if (limited := self._limited(user.id)) is not None:
            self.limited += 1
            return limited
        if edge == "" and name in self.users:
            return self._json(_chosen(user.profile, query))
        if edge == "media" and name in self.users:
            return self._list(request, [post.fields for post in user.posts], query, MEDIA_MAX)
        if edge == "comments" and name in self.posts:
            return self._list(request, self.posts[name][1].comments, query, COMMENTS_MAX)
        if edge == "insights" and name in self.users:
            return self._insights(user, query)
        return self._fault(Fault(code=100, message="Tried accessing nonexisting field"))

    def _limited(self, account: str) -> Response | None:
        if self.limit_each and len(self.calls) % self.limit_each == 0:
            return self._over_account(1) if len(self.calls) // self.limit_each % 2 else self._over_app()
        if self.account_limit is None:
            return None
        calls, seconds = self.account_limit
        now = time.monotonic()
        taken = self._taken[account] = [at for at in self._taken.get(account, []) if now - at < seconds]
        if len(taken) < calls:
            taken.append(now)
            return None
        return self._over_account((seconds - (now - taken[0])) / MINUTE)

    def _over_app(self) -> Response:
        usage = {"X-App-Usage": json.dumps({"call_count": 100, "total_cputime": 3, "total_time": 5})}
        return self._fault(Fault(code=4, status=403, message="Application request limit reached", headers=usage))

    def _over_account(self, minutes: float) -> Response:
        message = "There have been too many calls to this Instagram account"
        return self._fault(Fault(code=80002, message=message, headers=busy(minutes)))

    def _insights(self, user: User, query: Mapping[str, str]) -> Response:
        names = query.get("metric", "").split(",")
        since, until = int(query["since"]), int(query["until"])
        total = query.get("metric_type") == "total_value"
        if until - since > WINDOW:
            message = "There cannot be more than 30 days (2592000 s) between since and until"
            return self._fault(Fault(code=100, message=f"(#100) {message}"))
        known = TOTALS if total else DAILY
        if unknown := [name for name in names if name not in known]:
            return self._fault(Fault(code=100, message=f"(#100) metric[0] must be one of {known}: {unknown[0]}"))
        if "follower_count" in names and user.profile["followers_count"] < FEW_FOLLOWERS:
            return self._fault(Fault(code=100, message="(#100) follower_count is not available for this account"))
        data = [self._metric(user, name, since, until, total=total) for name in names]
        return self._json({"data": [metric for metric in data if metric is not None]})

    def _metric(self, user: User, name: str, since: int, until: int, *, total: bool) -> dict[str, Any] | None:
        said: dict[str, Any] = {"name": name, "period": "day", "id": f"{user.id}/insights/{name}/day"}
        if total:
            return said | {"total_value": {"value": metric_value(user.id, name, since)}}
        values = self.days(user.id, name, since, until)
        # What does not exist is left out, and is not 0.
        return said | {"values": values} if values else None

    def days(self, account: str, name: str, since: int, until: int) -> list[dict[str, Any]]:
        """The values of the days that end after `since` and until `until`, at 07:00 UTC as at Instagram."""
        first = self.now - timedelta(seconds=WINDOW) if name == "follower_count" else datetime.fromtimestamp(0, UTC)
        day = datetime.fromtimestamp(since, UTC).replace(hour=7, minute=0, second=0, microsecond=0)
        values = []
        while day.timestamp() <= until:
            if day.timestamp() > since and day > first:
                value = metric_value(account, name, int(day.timestamp()))
                values.append({"value": value, "end_time": _time(day)})
            day += timedelta(days=1)
        return values

    def _list(
        self, request: Request, entries: Sequence[dict[str, Any]], query: Mapping[str, str], most: int
    ) -> Response:
        limit = min(int(query.get("limit", DEFAULT_LIMIT)), most)
        after = query.get("after")
        start = 0 if after is None else int(base64.b64decode(after))
        page, end = list(entries[start : start + limit]), start + limit
        if self.empty_pages and after is None and entries:
            # What a page would have had may be hidden from the caller; there are others all the same.
            page, end = [], 0
        data = [_chosen(each, query) for each in page]
        if not data and end >= len(entries):
            return self._json({"data": []})
        paging: dict[str, Any] = {"cursors": {"before": _cursor(start), "after": _cursor(end)}}
        if end < len(entries):
            paging["next"] = str(request.url.include_query_params(after=_cursor(end)))
        return self._json({"data": data, "paging": paging})

    def _json(self, body: Any) -> Response:
        return JSONResponse(
            body, headers={"X-App-Usage": '{"call_count":1,"total_cputime":1,"total_time":1}', **self.usage}
        )

    def _fault(self, fault: Fault) -> Response:
        if fault.cut:
            return StreamingResponse(_half(), headers={"Content-Length": "1000"}, media_type="application/json")
        if not fault.code:
            return Response(fault.body, fault.status, dict(fault.headers), "text/html")
        error = {
            "message": fault.message,
            "type": "OAuthException",
            "code": fault.code,
            "error_subcode": fault.subcode,
            "is_transient": fault.is_transient,
            "fbtrace_id": "AbCdEf",
        }
        return JSONResponse({"error": error}, fault.status, dict(fault.headers))


async def _half() -> AsyncIterator[str]:
    yield '{"data":['
    raise ConnectionAbortedError


def busy(minutes: float) -> dict[str, str]:
    """The header by which an account is told how long it has to wait."""
    usage = {"type": "instagram", "call_count": 100, "total_cputime": 10, "total_time": 10}
    return {
        "X-Business-Use-Case-Usage": json.dumps({"178": [usage | {"estimated_time_to_regain_access": minutes}]}),
    }


def metric_value(account: str, name: str, moment: int) -> int:
    """A value that depends on what it is of, and not on when it is asked for."""
    return random.Random(f"{account} {name} {moment}").randrange(10_000)


def make_users(count: int, *, posts: int, comments: int, now: datetime, replies: int = 0) -> list[User]:
    """Accounts with so many posts, of the last days before `now`, each with so many comments, with `replies` each."""
    users = []
    for number in range(1, count + 1):
        id = str(17_841_400_000_000_000 + number)
        profile = {
            "id": id,
            "username": f"shop_{number}",
            "name": f"상점 {number} ☕",
            "biography": "매일 10시",
            "website": f"https://shop{number}.example",
            "profile_picture_url": f"https://cdn.example/{number}.jpg",
            "followers_count": 50 + number * 10,
            "follows_count": number,
            "media_count": posts,
        }
        made = [_post(number, place, comments, replies, now) for place in range(1, posts + 1)]
        users.append(User(token=f"EAAtoken{number:05d}x", profile=profile, posts=made))
    return users


def _post(user: int, place: int, comments: int, replies: int, now: datetime) -> Post:
    id = f"18{user:06d}{place:06d}"
    at = now - timedelta(hours=6 * place)
    fields: dict[str, Any] = {
        "id": id,
        "media_type": ("IMAGE", "VIDEO", "CAROUSEL_ALBUM")[place % 3],
        "media_product_type": "REELS" if place % 3 == 1 else "FEED",
        "caption": f"글 {place} 🙂",
        "permalink": f"https://www.instagram.com/p/{id}/",
        "timestamp": _time(at),
        "comments_count": comments * (1 + replies),
    }
    # Left out where the post has a claim of copyright, and where likes are hidden.
    if place % 7:
        fields["media_url"] = f"https://cdn.example/{id}.jpg"
    if place % 5:
        fields["like_count"] = place
    made = []
    for number in range(1, comments + 1):
        comment = _comment(f"{id}{number:04d}", number, at)
        if replies:
            answers = [_comment(f"{id}{number:04d}{reply}", reply, at) for reply in range(1, replies + 1)]
            comment["replies"] = {"data": answers}
        made.append(comment)
    return Post(fields=fields, comments=made)


def _comment(id: str, number: int, at: datetime) -> dict[str, Any]:
    return {
        "id": id,
        "text": f"댓글 {number} 👍",
        "username": f"user{number}",
        "timestamp": _time(at + timedelta(minutes=number)),
        "like_count": number % 4,
    }


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}+0000"


def _chosen(entry: Mapping[str, Any], query: Mapping[str, str]) -> dict[str, Any]:
    """The fields that were asked for, and in any case the id."""
    asked = query.get("fields", "id").partition("{")[0]
    names = {"id", *asked.split(",")}
    return {name: value for name, value in entry.items() if name in names}


def _cursor(place: int) -> str:
    return base64.b64encode(str(place).encode()).decode()


@contextlib.contextmanager
def graph_server(users: Sequence[User], **options: Any) -> Iterator[GraphServer]:
    """Such a server for the block."""
    server = GraphServer(users, **options)
    with live_server(Starlette(routes=[Route(f"/{VERSION}/{{path:path}}", server.answer)])) as url:
        server.url = url
        yield server
