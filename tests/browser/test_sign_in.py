"""Authentication of pages: the dashboard's sign-in form, and tickets for pages of another origin.

A browser logs an error to the console for each answer of 401 or 403, which these tests tolerate; any other error or
warning fails its test.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, Request, expect
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from statushub.hub.api.dashboard import WEB
from tests.support.asgi_server import live_server
from tests.support.live import LiveHub, live_hub
from tests.support.ports import free_port
from tests.support.publishing import publish_all
from tests.support.tokens import OTHER_SECRET, SECRET, bearer, token

pytest_plugins = ["tests.support.browser"]
pytestmark = pytest.mark.browser

REFUSED = ("401 (Unauthorized)", "403 (Forbidden)")
UNREACHABLE = "net::ERR_"

NEEDED = "A token is needed"

LIFE_SECONDS = 3.0
"""The lifetime of a token that expires while a page is open."""

EARLY, LATE = 850, 1150
"""The bounds of a pause that is jittered by a tenth, in milliseconds for each second of the pause."""

OPEN = """async ({ base, channel, options }) => {
    const { connect } = await import("/assets/client/index.js");
    const { dataset } = document.documentElement;
    const received = [];
    const states = [];
    if (options.ticket) options.ticket = () => window.ticket();
    window.stream = connect({ url: base, channels: [channel], ...options });
    stream.on("state", ({ state, reason }) => {
        if (states.at(-1) !== state) states.push(state);
        Object.assign(dataset, { state, states: states.join(" "), reason: reason ?? "" });
    });
    stream.on("status", ({ content }) => {
        received.push(content.data.progress);
        dataset.received = received.join(" ");
    });
    stream.on("reset", () => (dataset.reset = "yes"));
}"""


@pytest.fixture(autouse=True)
def tolerated_refusals(tolerated: list[str]) -> None:
    """Tolerate the browser's own messages about refusals."""
    tolerated += REFUSED


@pytest.fixture(scope="module")
def hub() -> Iterator[LiveHub]:
    """A hub that requires tokens; each test uses its own channel."""
    with live_hub(secret=SECRET) as hub:
        yield hub


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    """An application of another origin, with an empty page and a copy of the client."""

    async def empty(_request: Any) -> HTMLResponse:
        return HTMLResponse('<!doctype html><title>Elsewhere</title><link rel="icon" href="data:,">')

    with live_server(Starlette(routes=[Route("/", empty), Mount("/assets", StaticFiles(directory=WEB))])) as url:
        yield url


@pytest.fixture
def channel(request: pytest.FixtureRequest) -> str:
    """A channel named after the test."""
    return str(request.node.name)[:100]


def publish(base_url: str, channel: str, content_id: str, **data: Any) -> None:
    event = {"channel": channel, "content_id": content_id, "data": {"status": "generating"} | data}
    publish_all(base_url, [event], headers=bearer())


def ticket_for(base_url: str, **claims: Any) -> str:
    """A ticket, as a page's backend requests it."""
    ticket: str = httpx.post(f"{base_url}/api/tickets", headers=bearer(**claims)).raise_for_status().json()["ticket"]
    return ticket


def connection(page: Page, state: str) -> Locator:
    return page.locator(f"#connection[data-state={state}]")


def field(page: Page) -> Locator:
    return page.get_by_label("Token", exact=True)


def sign_in(page: Page, token: str) -> None:
    """Type a token into the form and press Enter."""
    field(page).fill(token)
    field(page).press("Enter")


def visit(page: Page, hub: LiveHub, channel: str, *, life: float = 3600) -> None:
    """Open the dashboard and sign in, with a token that expires `life` seconds later."""
    page.goto(f"{hub.base_url}/?channel={channel}")
    expect(field(page)).to_be_visible()
    sign_in(page, token(exp=time.time() + life))
    expect(connection(page, "live")).to_be_visible()


def row(page: Page, content_id: str) -> Locator:
    return page.locator(f'.row[data-content="{content_id}"]')


def follow(page: Page, base: str, channel: str, **options: Any) -> Locator:
    """Open a stream in the page; `html` shows its state, its reason and the progress it received."""
    page.evaluate(OPEN, {"base": base, "channel": channel, "options": options})
    return page.locator("html")


def asked(page: Page, *parts: str) -> list[str]:
    """A list to which later requests of the page are added, if their URLs contain one of `parts`."""
    addresses: list[str] = []

    def note(request: Request) -> None:
        if any(part in request.url for part in parts):
            addresses.append(request.url)

    page.on("request", note)
    return addresses


def stop_clock(page: Page) -> None:
    """Let the page's timers run only when the test advances the clock, so that pauses are measured exactly."""
    page.clock.install(time="2030-01-01T00:00:00")
    page.clock.pause_at("2030-01-01T00:00:01")


def settled(page: Page, base_url: str) -> None:
    """Make a request from the page, after whose answer all earlier requests have been observed."""
    page.evaluate("(url) => fetch(url, { mode: 'no-cors' }).then(() => true)", f"{base_url}/healthz")


# The form


def test_signing_in_opens_the_channel(page: Page, hub: LiveHub, channel: str) -> None:
    """The form takes a token, the hub sets an HttpOnly cookie, and the page itself stores nothing."""
    publish(hub.base_url, channel, f"{channel}-1", progress=45)
    page.goto(f"{hub.base_url}/?channel={channel}")
    form = page.get_by_role("form", name="Sign in")
    expect(form).to_contain_text("statushub token --read '**'")
    expect(field(page)).to_be_focused()
    expect(page.locator("#connection-meaning")).to_contain_text(NEEDED)
    expect(page.get_by_role("button", name="Sign out")).to_be_hidden()
    mine = token()
    sign_in(page, f"  {mine} ")
    expect(connection(page, "live")).to_be_visible()
    expect(row(page, f"{channel}-1").locator(".percent")).to_have_text("45%")
    expect(form).to_be_hidden()
    expect(page.locator("#connection")).to_be_focused()
    kept = "document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + location.href"
    assert mine not in page.evaluate(f"{kept} + document.querySelector('#token').value")
    [cookie] = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["value"]) == (True, "Strict", mine)
    page.reload()
    expect(connection(page, "live")).to_be_visible()
    expect(form).to_be_hidden()


@pytest.mark.parametrize(
    ("wrong", "verdict"),
    [
        pytest.param(token(OTHER_SECRET), "the token is invalid: Signature verification failed", id="foreign"),
        pytest.param(token(exp=time.time() - 60), "the token has expired", id="expired"),
        pytest.param("“no” tökèn\N{SNOWMAN}", "the token is invalid", id="nonsense"),
        pytest.param(token(read=["else"]), "this token does not allow reading the channel", id="narrow"),
        pytest.param("   ", "Paste a token first.", id="empty"),
    ],
)
def test_a_wrong_token_shows_an_error_beside_the_field(page: Page, hub: LiveHub, wrong: str, verdict: str) -> None:
    """The hub's message is announced, the field keeps the focus, and a valid token is accepted next."""
    page.goto(f"{hub.base_url}/?channel=wrong")
    sign_in(page, wrong)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text(verdict)
    expect(field(page)).to_be_focused()
    expect(field(page)).to_have_attribute("aria-invalid", "true")
    assert str(alert.get_attribute("id")) in str(field(page).get_attribute("aria-describedby")).split()
    expect(connection(page, "refused")).to_be_visible()
    sign_in(page, token())
    expect(connection(page, "live")).to_be_visible()
    expect(page.get_by_role("form", name="Sign in")).to_be_hidden()


def test_a_failed_sign_in_keeps_the_token_in_the_field(
    page: Page, hub: LiveHub, channel: str, tolerated: list[str]
) -> None:
    """Without an answer from the hub the form shows an error, and another attempt succeeds."""
    tolerated.append(UNREACHABLE)
    page.goto(f"{hub.base_url}/?channel={channel}")
    page.route("**/api/session", lambda route: route.abort())
    sign_in(page, token())
    expect(page.get_by_role("alert")).to_contain_text("does not answer")
    page.unroute("**/api/session")
    field(page).press("Enter")
    expect(connection(page, "live")).to_be_visible()


def test_signing_out_removes_the_cookie_and_the_contents(page: Page, hub: LiveHub, channel: str) -> None:
    """The button is available after a reload, too."""
    publish(hub.base_url, channel, f"{channel}-1", progress=45)
    visit(page, hub, channel)
    page.reload()
    expect(row(page, f"{channel}-1")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("form", name="Sign in")).to_be_visible()
    expect(page.locator(".row")).to_have_count(0)
    expect(page.get_by_role("button", name="Sign out")).to_be_hidden()
    assert page.context.cookies() == []
    assert page.evaluate("fetch('/api/contents/x').then((answer) => answer.status)") == 401


def test_a_failed_sign_out_is_shown(page: Page, hub: LiveHub, channel: str, tolerated: list[str]) -> None:
    """The button says that the user is still signed in."""
    tolerated.append(UNREACHABLE)
    visit(page, hub, channel)
    page.route("**/api/session", lambda route: route.abort())
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Still signed in")).to_be_visible()
    expect(connection(page, "live")).to_be_visible()


def test_an_expired_token_brings_the_form_back(page: Page, hub: LiveHub, channel: str) -> None:
    """The rows stay, and after another sign-in the page resumes without a reload or a gap."""
    publish(hub.base_url, channel, f"{channel}-1", progress=1)
    visit(page, hub, channel, life=LIFE_SECONDS)
    expect(row(page, f"{channel}-1")).to_be_visible()
    page.evaluate("document.querySelector('.row').kept = true")
    form = page.get_by_role("form", name="Sign in")
    expect(form).to_be_visible()
    expect(field(page)).to_be_focused()
    expect(page.get_by_role("status")).to_contain_text("Sign in to go on")
    publish(hub.base_url, channel, f"{channel}-1", progress=2)
    publish(hub.base_url, channel, f"{channel}-2", progress=3)
    sign_in(page, token())
    expect(row(page, f"{channel}-1").locator(".percent")).to_have_text("2%")
    expect(row(page, f"{channel}-2").locator(".percent")).to_have_text("3%")
    expect(form).to_be_hidden()
    expect(connection(page, "live")).to_be_visible()
    assert page.evaluate("document.querySelectorAll('.row')[1].kept")


def test_a_token_of_another_tenant_shows_only_that_tenant(page: Page, hub: LiveHub, channel: str) -> None:
    """The rows of the previous tenant are removed."""
    publish(hub.base_url, channel, f"{channel}-1", progress=1)
    visit(page, hub, channel, life=LIFE_SECONDS)
    expect(page.locator(".row")).to_have_count(1)
    expect(page.get_by_role("form", name="Sign in")).to_be_visible()
    sign_in(page, token(tenant="other"))
    expect(connection(page, "live")).to_be_visible()
    expect(page.locator(".row")).to_have_count(0)


def test_the_form_does_not_take_the_focus_from_another_field(page: Page, hub: LiveHub, channel: str) -> None:
    """The form appears and is announced while a user types elsewhere."""
    visit(page, hub, channel, life=LIFE_SECONDS)
    page.get_by_role("searchbox").focus()
    expect(page.get_by_role("form", name="Sign in")).to_be_visible()
    expect(page.get_by_role("searchbox")).to_be_focused()


def test_the_command_of_an_empty_channel_has_a_token(page: Page, hub: LiveHub, channel: str) -> None:
    """A hub that requires tokens accepts the copied command."""
    visit(page, hub, channel)
    expect(page.locator("#publish-command")).to_contain_text('-H "authorization: Bearer $STATUSHUB_TOKEN"')


def test_a_hub_without_keys_shows_no_sign_in(page: Page, channel: str) -> None:
    """Neither the form, the sign-out button nor a token in the command is shown."""
    with live_hub() as hub:
        page.goto(f"{hub.base_url}/?channel={channel}")
        expect(connection(page, "live")).to_be_visible()
        expect(page.locator("#sign-in")).to_be_hidden()
        expect(page.locator("#sign-out")).to_be_hidden()
        expect(page.locator("#publish-command")).not_to_contain_text("Bearer")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_form_fits_a_phone(page: Page, hub: LiveHub, channel: str, scheme: Any) -> None:
    """Nothing overflows a width of 360 pixels, and the error is readable."""
    page.set_viewport_size({"width": 360, "height": 740})
    page.emulate_media(color_scheme=scheme)
    page.goto(f"{hub.base_url}/?channel={channel}")
    sign_in(page, "x" * 300)
    expect(page.get_by_role("alert")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    right = "(part) => part.getBoundingClientRect().right"
    edge = page.locator("#sign-in").evaluate(right)
    assert [part for part in page.locator("#sign-in *").all() if part.evaluate(right) > edge] == []


# Pages of another origin


def test_a_page_of_another_origin_streams_with_tickets(page: Page, hub: LiveHub, elsewhere: str, channel: str) -> None:
    """A ticket opens the stream; without one the hub's refusal is the reason."""
    publish(hub.base_url, channel, f"{channel}-a", progress=1)
    page.goto(elsewhere)
    page.expose_function("ticket", lambda: ticket_for(hub.base_url))
    stream = follow(page, hub.base_url, channel, ticket=True)
    expect(stream).to_have_attribute("data-state", "live")
    publish(hub.base_url, channel, f"{channel}-a", progress=2)
    expect(stream).to_have_attribute("data-received", "1 2")
    page.evaluate("stream.close()")
    follow(page, hub.base_url, channel)
    expect(stream).to_have_attribute("data-state", "refused")
    expect(stream).to_have_attribute("data-reason", re.compile(NEEDED))


def test_a_page_of_another_origin_streams_with_the_cookie(page: Page, elsewhere: str, channel: str) -> None:
    """An allowed origin that sends credentials may stream and poll."""
    with live_hub(secret=SECRET, cors_origins=(elsewhere,)) as hub:
        publish(hub.base_url, channel, f"{channel}-a", progress=1)
        page.goto(elsewhere)
        page.evaluate(
            "([url, headers]) => fetch(url, { method: 'POST', credentials: 'include', headers }).then(() => true)",
            [f"{hub.base_url}/api/session", bearer()],
        )
        stream = follow(page, hub.base_url, channel)
        expect(stream).to_have_attribute("data-state", "refused")
        page.evaluate("stream.close()")
        follow(page, hub.base_url, channel, credentials=True)
        expect(stream).to_have_attribute("data-state", "live")
        page.evaluate("stream.close()")
        page.route("**/events*", lambda route: route.fulfill(status=403))
        publish(hub.base_url, channel, f"{channel}-a", progress=2)
        follow(page, hub.base_url, channel, credentials=True)
        expect(stream).to_have_attribute("data-received", "2")
        expect(stream).to_have_attribute("data-state", "polling")


def recorded(give: Callable[[], str]) -> tuple[Callable[[], str], list[str]]:
    """A ticket function, and the list of its tickets."""
    tickets: list[str] = []

    def ticket() -> str:
        tickets.append(give())
        return tickets[-1]

    return ticket, tickets


def test_an_expired_ticket_is_renewed_without_a_gap(
    page: Page, elsewhere: str, tmp_path: Path, channel: str, tolerated: list[str]
) -> None:
    """The reconnect with the old ticket is refused, and the page immediately gets a new one."""
    tolerated.append(UNREACHABLE)
    port = free_port()
    settings: dict[str, Any] = {"broker": f"sqlite:///{tmp_path / 'hub.db'}", "port": port}
    base_url = f"http://127.0.0.1:{port}"
    page.goto(elsewhere)
    # The second hub has another ticket secret, so that the first ticket is invalid without a wait.
    with live_hub(secret=SECRET, ticket_secret="a" * 32, **settings):
        publish(base_url, channel, f"{channel}-a", progress=1)
        ticket, tickets = recorded(lambda: ticket_for(base_url))
        page.expose_function("ticket", ticket)
        stream = follow(page, base_url, channel, ticket=True)
        expect(stream).to_have_attribute("data-state", "live")
        asks = asked(page, "/events", "/changes")
    expect(stream).to_have_attribute("data-state", "reconnecting")
    with live_hub(secret=SECRET, ticket_secret="b" * 32, **settings):
        for progress in (2, 3):
            publish(base_url, channel, f"{channel}-b", progress=progress)
        expect(stream).to_have_attribute("data-received", "1 3")
        expect(stream).to_have_attribute("data-state", "live")
        # The page opened the stream again without polling in between.
        assert "polling" not in str(stream.get_attribute("data-states"))
        assert stream.get_attribute("data-reset") is None
        assert len(tickets) == 2
        assert [tickets[1] in address for address in asks[-1:]] == [True]
        assert re.search(r"since=\w+-\d+", asks[-1])


def test_polls_renew_their_ticket(page: Page, hub: LiveHub, elsewhere: str, channel: str) -> None:
    """One ticket serves many polls, and a 401 makes the page get another one immediately."""
    page.goto(elsewhere)
    stop_clock(page)
    page.route("**/events*", lambda route: route.fulfill(status=403, body="blocked"))
    ticket, tickets = recorded(lambda: ticket_for(hub.base_url))
    page.expose_function("ticket", ticket)
    publish(hub.base_url, channel, f"{channel}-a", progress=1)
    stream = follow(page, hub.base_url, channel, ticket=True)
    expect(stream).to_have_attribute("data-state", "polling")
    expect(stream).to_have_attribute("data-received", "1")
    publish(hub.base_url, channel, f"{channel}-a", progress=2)
    page.clock.fast_forward(4_000)
    expect(stream).to_have_attribute("data-received", "1 2")
    assert len(tickets) == 1
    used: list[str] = []

    def spent(route: Any) -> None:
        used.append(route.request.url)
        if tickets[0] in route.request.url:
            route.fulfill(
                status=401, headers=CORS, json={"error": {"code": "unauthorized", "message": "the ticket has expired"}}
            )
        else:
            route.continue_()

    page.route("**/changes*", spent)
    publish(hub.base_url, channel, f"{channel}-a", progress=3)
    page.clock.fast_forward(4_000)
    expect(stream).to_have_attribute("data-received", "1 2 3")
    assert len(tickets) == 2
    assert [tickets[1] in address for address in used] == [False, True]
    assert "refused" not in str(stream.get_attribute("data-states"))


CORS = {"Access-Control-Allow-Origin": "*"}


@pytest.mark.parametrize("broken", ["rejecting", "throwing", "empty"])
def test_a_failed_ticket_function_is_retried(
    page: Page, hub: LiveHub, elsewhere: str, channel: str, broken: str
) -> None:
    """Its error is the reason, the pauses grow, and the stream opens once a ticket is returned."""
    page.goto(elsewhere)
    stop_clock(page)
    page.expose_function("mended", lambda: ticket_for(hub.base_url))
    page.evaluate(
        """() => {
            window.calls = 0;
            window.broken = {
                rejecting: async () => { throw new Error("Not signed in here"); },
                throwing: () => { throw new Error("Not signed in here"); },
                empty: () => undefined,
            };
        }"""
    )
    page.evaluate("(kind) => { window.ticket = () => (calls++, broken[kind]()); }", broken)
    stream = follow(page, hub.base_url, channel, ticket=True)
    expect(stream).to_have_attribute("data-state", "offline")
    reason = "The page's ticket function returned no ticket" if broken == "empty" else "Not signed in here"
    expect(stream).to_have_attribute("data-reason", reason)
    assert page.evaluate("calls") == 1
    for calls, pause in enumerate((3, 6, 12, 24, 30, 30), start=1):
        page.clock.fast_forward(EARLY * pause)
        assert page.evaluate("calls") == calls
        page.clock.fast_forward((LATE - EARLY) * pause)
        page.wait_for_function("(calls) => window.calls === calls", arg=calls + 1)
    page.evaluate("() => { window.ticket = window.mended; }")
    page.clock.fast_forward(LATE * 30)
    expect(stream).to_have_attribute("data-state", "live")
    expect(stream).to_have_attribute("data-reason", "")


def test_a_ticket_function_without_an_answer_times_out(page: Page, hub: LiveHub, elsewhere: str, channel: str) -> None:
    """The page counts it as failed, and calls it again."""
    page.goto(elsewhere)
    stop_clock(page)
    page.expose_function("mended", lambda: ticket_for(hub.base_url))
    page.evaluate("() => { window.calls = 0; window.ticket = () => (calls++, new Promise(() => {})); }")
    stream = follow(page, hub.base_url, channel, ticket=True)
    page.wait_for_function("calls === 1")
    page.clock.fast_forward(6_000)
    # What polls is loaded first.
    page.wait_for_function("calls === 2")
    expect(stream).to_have_attribute("data-state", "polling")
    page.clock.fast_forward(21_000)
    expect(stream).to_have_attribute("data-state", "offline")
    page.evaluate("() => { window.ticket = window.mended; }")
    page.clock.fast_forward(LATE * 3)
    expect(stream).to_have_attribute("data-state", "live")


def test_a_revoked_page_retries_with_growing_pauses(page: Page, hub: LiveHub, elsewhere: str, channel: str) -> None:
    """The hub's message is the reason, and a valid ticket makes the page live again."""
    page.goto(elsewhere)
    claims = {"sub": channel, "jti": channel}
    # A backend that does not know of the revocation returns its cached ticket.
    old = ticket_for(hub.base_url, **claims)
    ticket, tickets = recorded(lambda: old)
    page.expose_function("ticket", ticket)
    stop_clock(page)
    stream = follow(page, hub.base_url, channel, ticket=True)
    expect(stream).to_have_attribute("data-state", "live")
    asks = asked(page, "/events", "/changes")
    httpx.post(f"{hub.base_url}/api/revoke", json={"jti": channel}, headers=bearer(revoke=True)).raise_for_status()
    expect(stream).to_have_attribute("data-state", "reconnecting")
    page.clock.fast_forward(5_000)
    expect(stream).to_have_attribute("data-state", "refused")
    expect(stream).to_have_attribute("data-reason", "the token has been revoked, or has expired")
    # A stream with a new ticket, and a poll that gives the reason.
    assert [re.findall(r"events|changes", address)[-1] for address in asks] == ["events", "changes"]
    assert len(tickets) == 2
    for polls, pause in enumerate((3, 6, 12, 24, 48, 96, 120, 120)):
        page.clock.fast_forward(EARLY * pause)
        settled(page, hub.base_url)
        assert (len(asks), len(tickets)) == (2 + polls, 2 + polls)
        with page.expect_response("**/changes*"):
            page.clock.fast_forward((LATE - EARLY) * pause)
        settled(page, hub.base_url)
    old = ticket_for(hub.base_url)
    page.clock.fast_forward(LATE * 120)
    expect(stream).to_have_attribute("data-state", "live")


def test_a_refused_page_retries_immediately_when_shown(page: Page, hub: LiveHub, channel: str) -> None:
    """A cookie that was renewed elsewhere is used without a reload."""
    page.clock.install()
    page.goto(f"{hub.base_url}/?channel={channel}")
    expect(connection(page, "refused")).to_be_visible()
    hide = """(hidden) => {
        Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)
    page.context.add_cookies([{"name": "statushub_token", "value": token(), "url": hub.base_url}])
    page.evaluate(hide, False)
    expect(connection(page, "live")).to_be_visible()
    expect(page.get_by_role("form", name="Sign in")).to_be_hidden()


def test_a_ticket_after_close_opens_nothing(page: Page, hub: LiveHub, elsewhere: str, channel: str) -> None:
    """A stream that is closed while it waits for a ticket stays closed."""
    page.goto(elsewhere)
    page.evaluate("() => { window.ticket = () => new Promise((resolve) => (window.give = resolve)); }")
    follow(page, hub.base_url, channel, ticket=True)
    # The client's part for tickets is loaded on demand.
    page.wait_for_function("() => window.give !== undefined")
    asks = asked(page, "/events", "/changes")
    page.evaluate("(ticket) => { stream.close(); give(ticket); }", ticket_for(hub.base_url))
    settled(page, hub.base_url)
    assert asks == []


# Links that sign in, and other tabs


def test_a_link_signs_in(page: Page, hub: LiveHub, channel: str) -> None:
    """The token is in the fragment, which no server sees, and leaves the address immediately."""
    publish(hub.base_url, channel, f"{channel}-1", progress=45)
    mine = token()
    seen = asked(page, mine)
    page.goto(f"{hub.base_url}/?channel={channel}#token={mine}")
    expect(row(page, f"{channel}-1")).to_be_visible()
    assert page.url == f"{hub.base_url}/?channel={channel}"
    assert seen == []
    [cookie] = page.context.cookies()
    assert (cookie["httpOnly"], cookie["value"]) == (True, mine)
    page.goto("about:blank")
    page.go_back()
    assert mine not in page.url


def test_a_link_does_not_replace_a_sign_in_unasked(page: Page, hub: LiveHub, channel: str) -> None:
    """Who follows a link of another person is asked first."""
    visit(page, hub, channel)
    [before] = page.context.cookies()
    for answer, kept in (("Keep", True), ("Use the link's token", False)):
        page.goto("about:blank")
        page.goto(f"{hub.base_url}/?channel={channel}#token={token(tenant='other')}")
        page.get_by_role("dialog").get_by_role("button", name=answer).click()
        expect(connection(page, "live")).to_be_visible()
        [after] = page.context.cookies()
        assert (after["value"] == before["value"]) is kept


def test_a_refused_link_is_told(page: Page, hub: LiveHub, channel: str) -> None:
    """With the hub's reason; the form stays."""
    page.goto(f"{hub.base_url}/?channel={channel}#token={token(OTHER_SECRET)}")
    expect(page.locator("#toasts")).to_contain_text("The link's token was refused: the token is invalid")
    expect(page.get_by_role("form", name="Sign in")).to_be_visible()


def test_all_tabs_sign_in_and_out_together(page: Page, hub: LiveHub, channel: str) -> None:
    """Nothing of what one showed remains."""
    publish(hub.base_url, channel, f"{channel}-1", progress=45)
    other = page.context.new_page()
    other.goto(f"{hub.base_url}/?channel={channel}")
    expect(other.get_by_role("form", name="Sign in")).to_be_visible()
    visit(page, hub, channel)
    expect(row(other, f"{channel}-1")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    for tab in (page, other):
        expect(tab.get_by_role("form", name="Sign in")).to_be_visible()
        expect(tab.locator(".row")).to_have_count(0)
    other.close()
