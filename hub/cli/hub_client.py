"""Requests of the command line to a hub, and its errors as those of a command."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Self

import httpx

from statushub.hub.cli.failure import USAGE, Failure
from statushub.hub.model.errors import BrokerUnavailable, ConfigError
from statushub.hub.model.redaction import redacted
from statushub.producers.address import settings
from statushub.producers.connections import reason
from statushub.producers.following.frames import json_object
from statushub.producers.retry_after import RETRIED

ANSWER_SECONDS: Final = 10.0
"""How long a hub's answer may take. A revocation waits for the next second, and a hub for its broker."""


class HubClient:
    """Requests to one hub, within its `with` block."""

    def __init__(self, environ: Mapping[str, str], hub: str | None, token: str | None) -> None:
        """`hub` and `token` are the options of the command; where they are None, `environ` has them."""
        configured = settings(environ)
        address = hub or configured["url"]
        self.token = (token or configured["token"]).strip()
        self.name = redacted(address)
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        with failing(address):
            self._http = httpx.Client(
                base_url=address.rstrip("/"), headers=headers, timeout=ANSWER_SECONDS, follow_redirects=True
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._http.close()

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """The JSON object that GET answers. Raises as `answer`."""
        return json_object(self.answer("GET", path, params=query).text)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The JSON object that POST answers; empty where there is none. Raises as `answer`."""
        return json_object(self.answer("POST", path, **({} if body is None else {"json": body})).text)

    def answer(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A successful response. Raises `BrokerUnavailable` where a retry may succeed, `Failure` where the hub refuses
        the request, `ConfigError` where its URL is invalid."""
        with failing(self.name):
            response = self._http.request(method, path, **options)
        check(response, self.name)
        return response

    @contextmanager
    def stream(self, path: str, seconds: float) -> Iterator[httpx.Response]:
        """The response to GET, while its body arrives; each part may take `seconds`. Raises as `answer`."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        with failing(self.name), self._http.stream("GET", path, headers=headers, timeout=seconds) as response:
            check(response, self.name)
            yield response


@contextmanager
def failing(hub: str) -> Iterator[None]:
    """Raise the errors of an HTTP client in the block as `BrokerUnavailable` and `ConfigError`, naming `hub`."""
    try:
        yield
    except httpx.InvalidURL as error:
        raise ConfigError(f"{redacted(hub)} is not a valid address: {error}", field="hub") from error
    except httpx.UnsupportedProtocol as error:
        raise ConfigError(f"the URL of a hub begins with http:// or https://: {redacted(hub)}", field="hub") from error
    except (httpx.HTTPError, OSError, ssl.SSLError) as error:
        raise BrokerUnavailable(f"{redacted(hub)} {reason(error)}") from error


def check(response: httpx.Response, hub: str) -> None:
    """Raise `BrokerUnavailable` for an error after which a retry may succeed, and `Failure` for any other."""
    status = response.status_code
    if response.is_success:
        return
    response.read()
    message = f"{hub} answers {status}: {_error_text(response)}"
    if status >= 500 or status in RETRIED:
        raise BrokerUnavailable(message)
    raise Failure(message, USAGE)


def _error_text(response: httpx.Response) -> str:
    """The message of a hub's error, or the reason phrase of another server's."""
    error = json_object(response.text).get("error")
    message = error.get("message") if isinstance(error, dict) else None
    return str(message or response.reason_phrase)
