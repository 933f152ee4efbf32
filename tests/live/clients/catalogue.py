"""The clients of other authors that docs/clients.md shows, in the versions that were tried."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """A client; `name` is the heading of its section on the page."""

    name: str
    language: str
    """One of `LANGUAGES` in `languages.py`."""
    packages: Mapping[str, str] = {}
    """What is installed of the language's registry, with exact versions; the first one is the client."""
    short_timeout: bool = False
    """Whether its default read time-out is under the hub's heartbeat, so that it needs a shorter one."""

    @property
    def version(self) -> str:
        """The version as the page names it."""
        return next(iter(self.packages.values()), "")

    def __str__(self) -> str:
        return self.name


CLIENTS: Final = (
    Client(name="EventSource", language="browser"),
    Client(
        name="fetch-event-source",
        language="browser",
        packages={"@microsoft/fetch-event-source": "2.0.1", "esbuild": "0.28.2"},
    ),
    Client(
        name="event-source-polyfill",
        language="browser",
        packages={"event-source-polyfill": "1.0.31", "esbuild": "0.28.2"},
    ),
    Client(
        name="reconnecting-eventsource",
        language="browser",
        packages={"reconnecting-eventsource": "1.6.5", "esbuild": "0.28.2"},
    ),
    Client(name="sse.js", language="browser", packages={"sse.js": "2.8.0", "esbuild": "0.28.2"}),
    Client(name="eventsource", language="node", packages={"eventsource": "4.1.0"}),
    Client(name="eventsource-client", language="node", packages={"eventsource-client": "1.2.0"}),
    Client(name="eventsource-parser", language="node", packages={"eventsource-parser": "3.0.6"}),
    Client(
        name="streamedQuery",
        language="node",
        packages={"@tanstack/query-core": "5.108.0", "eventsource-parser": "3.0.6"},
    ),
    # Of this project, as it is installed for the tests.
    Client(name="statushub", language="python"),
    Client(name="httpx-sse", language="python", packages={"httpx-sse": "0.4.3", "httpx": "0.28.1"}, short_timeout=True),
    Client(name="sseclient-py", language="python", packages={"sseclient-py": "1.9.0", "requests": "2.34.2"}),
    Client(name="aiohttp-sse-client", language="python", packages={"aiohttp-sse-client": "0.2.1", "aiohttp": "3.14.5"}),
    Client(name="r3labs/sse", language="go", packages={"github.com/r3labs/sse/v2": "v2.10.0"}),
    Client(name="go-sse", language="go", packages={"github.com/tmaxmax/go-sse": "v0.12.0"}),
    Client(name="launchdarkly/eventsource", language="go", packages={"github.com/launchdarkly/eventsource": "v1.11.0"}),
    Client(name="bufio.Scanner", language="go"),
    Client(
        name="reqwest-eventsource",
        language="rust",
        packages={"reqwest-eventsource": "0.6.0", "reqwest": "0.12.28", "futures-util": "0.3.31", "tokio": "1.48.0"},
    ),
    Client(
        name="okhttp-sse", language="java", packages={"com.squareup.okhttp3:okhttp-sse": "5.5.1"}, short_timeout=True
    ),
    Client(
        name="okhttp-eventsource",
        language="java",
        packages={"com.launchdarkly:okhttp-eventsource": "4.2.0"},
    ),
    Client(name="java.net.http", language="java"),
    Client(name="curl", language="shell"),
)
