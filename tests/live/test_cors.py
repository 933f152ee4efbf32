"""Pages of other origins: what they may ask, what they are refused, and what they may read."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from statushub.hub.app import ROUTES
from statushub.hub.http.cors import METHODS
from tests.support.live import live_hub
from tests.support.tokens import SECRET

ORIGIN = "https://page.example"

SENDERS = {
    "a player of videos": "range, if-range",
    "fetch-event-source": "accept,last-event-id",
    "event-source-polyfill": "Cache-Control, X-Requested-With, Last-Event-ID",
    "axios": "authorization,content-type,x-requested-with",
    "a page that wants no cache": "cache-control,pragma",
    "a conditional poll": "authorization,if-none-match,if-modified-since",
    "OpenTelemetry": "baggage,traceparent,tracestate",
    "Sentry": "baggage,sentry-trace",
    "Datadog": "x-datadog-origin,x-datadog-parent-id,x-datadog-sampling-priority,x-datadog-tags,x-datadog-trace-id",
    "Zipkin": "b3,x-b3-flags,x-b3-parentspanid,x-b3-sampled,x-b3-spanid,x-b3-traceid",
    "Application Insights": "request-context,request-id",
    "New Relic": "newrelic,traceparent,tracestate",
    "nothing": "",
}
"""Clients and libraries, and the headers that they add to a request."""


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with (
        live_hub(cors_origins=(ORIGIN, "http://localhost:*"), cors_headers=("X-Tab",)) as hub,
        httpx.Client(base_url=hub.base_url) as client,
    ):
        yield client


def preflight(
    client: httpx.Client, headers: str | None = None, *, origin: str = ORIGIN, method: str = "GET", **more: str
) -> httpx.Response:
    """Ask as a browser does before it sends a request."""
    asked = {"Origin": origin, "Access-Control-Request-Method": method, **more}
    if headers is not None:
        asked["Access-Control-Request-Headers"] = headers
    return client.options("/api/contents/c/events", headers=asked)


@pytest.mark.parametrize("headers", SENDERS.values(), ids=list(SENDERS))
def test_what_common_clients_send_is_allowed(client: httpx.Client, headers: str) -> None:
    """The answer allows each of the headers, by name, and the origin."""
    answer = preflight(client, headers)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    allowed = {name.strip().lower() for name in answer.headers["access-control-allow-headers"].split(",")}
    assert {name.strip().lower() for name in headers.split(",") if name} <= allowed


def test_a_setting_allows_more_headers(client: httpx.Client) -> None:
    """Beside those that are allowed anyway, in any case."""
    for headers in ("x-tab", "X-TAB, authorization"):
        assert preflight(client, headers).status_code == 200


def test_every_method_of_a_route_is_allowed(client: httpx.Client) -> None:
    """And no other."""
    there = {method for route in ROUTES for method in getattr(route, "methods", ())}
    assert there == set(METHODS)
    for method in there:
        assert preflight(client, method=method).status_code == 200


@pytest.mark.parametrize(
    ("asked", "field", "named"),
    [
        ({"origin": "https://evil.example"}, "origin", "'https://evil.example'"),
        ({"origin": "https://page.example.evil.example"}, "origin", "--cors-origin"),
        ({"origin": "null"}, "origin", "'null'"),
        ({"method": "PATCH"}, "method", "'PATCH'"),
        ({"method": "get"}, "method", "'get'"),
        ({"headers": "authorization, X-Other,accept, x-more"}, "header", "'X-Other', 'x-more'"),
        ({"headers": "x-other"}, "header", "--cors-header"),
        # A proxy's word, which a page could forge.
        ({"headers": "x-forwarded-for"}, "header", "'x-forwarded-for'"),
    ],
)
def test_a_refused_preflight_names_what_is_refused(
    client: httpx.Client, asked: dict[str, str], field: str, named: str
) -> None:
    """The error is 403 in the form of every error, with the origin, the method or the headers."""
    answer = preflight(client, **asked)
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/json")
    error = answer.json()["error"]
    assert (error["code"], error["field"]) == ("forbidden", field)
    assert named in error["message"]
    allowed = answer.headers.get("access-control-allow-origin")
    assert allowed == (None if field == "origin" else ORIGIN)
    assert "Origin" in answer.headers["vary"]


def test_a_page_of_the_internet_may_use_a_hub_of_the_local_network(client: httpx.Client) -> None:
    """A browser asks for this, too; the origin decides."""
    asked = {"Access-Control-Request-Private-Network": "true"}
    assert preflight(client, **asked).headers["access-control-allow-private-network"] == "true"
    assert preflight(client, origin="https://evil.example", **asked).status_code == 403


def test_pages_may_read_what_they_act_on(client: httpx.Client) -> None:
    """Tags, pages, ages and delays are exposed, on errors too."""
    for path in ("/api/contents/c", "/nope"):
        exposed = client.get(path, headers={"Origin": ORIGIN}).headers["access-control-expose-headers"].split(", ")
        assert {
            "Accept-Ranges",
            "Age",
            "Allow",
            "Content-Range",
            "Date",
            "ETag",
            "Link",
            "Retry-After",
            "WWW-Authenticate",
        } <= set(exposed)


@pytest.mark.parametrize(("origins", "credentials"), [((ORIGIN,), "true"), (("*",), None)])
def test_a_preflight_allows_cookies_for_listed_origins(origins: tuple[str, ...], credentials: str | None) -> None:
    """And not for `*`, under which every origin is allowed."""
    with live_hub(secret=SECRET, cors_origins=origins) as hub, httpx.Client(base_url=hub.base_url) as client:
        answer = preflight(client, "authorization")
        assert answer.status_code == 200
        assert answer.headers.get("access-control-allow-credentials") == credentials
        assert answer.headers["access-control-allow-origin"] == (ORIGIN if credentials else "*")
