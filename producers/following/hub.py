"""A hub as a follower asks it: with its token, where it redirects to, and its refusals as errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NoReturn

import httpx

from statushub.hub import __version__
from statushub.producers.following.credentials import Credentials
from statushub.producers.following.link import Answer, Link
from statushub.producers.following.refusals import refusal
from statushub.producers.hub_address import HubAddress
from statushub.producers.transports import Denied

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
REDIRECTS_MAX: Final = 5
"""Most redirects of one request: more are a circle."""


class Hub:
    """One hub, over a link."""

    def __init__(self, address: HubAddress, credentials: Credentials, link: Link) -> None:
        self.name = address.name
        self._address = address
        self._credentials = credentials
        self._link = link

    async def get(
        self,
        path: str,
        query: Iterable[tuple[str, str]],
        headers: Mapping[str, str],
        *,
        silence: float,
        expected: tuple[int, ...] = (200,),
    ) -> Answer:
        """The answer, which the caller closes; no part of it takes longer than `silence`, in seconds.

        Raises what `refusal` returns for any other status than the `expected`, and what `Link.get` and
        `Credentials.header` raise.
        """
        url, sent = self._address.at(path, query), {**headers, "User-Agent": f"statushub/{__version__}"}
        if (authorization := await self._credentials.header(self._link)) is not None:
            sent["Authorization"] = authorization
        for _ in range(REDIRECTS_MAX):
            answer = await self._link.get(url, sent, silence)
            if answer.status in expected:
                return answer
            try:
                url = self._target(url, answer) or await self._refused(answer)
            finally:
                await answer.aclose()
        raise Denied(f"{self.name} redirects in a circle")

    async def _refused(self, answer: Answer) -> NoReturn:
        raise await refusal(answer, self.name)

    def _target(self, url: httpx.URL, answer: Answer) -> httpx.URL | None:
        """Where the answer redirects to, None where it does not. The token goes to no other host."""
        location = answer.header("location") if answer.status in REDIRECTS else None
        if location is None:
            return None
        target = url.join(location)
        secured = (url.scheme, target.scheme) == ("http", "https") and target.port is None
        if target.host != url.host or not (secured or (target.scheme, target.port) == (url.scheme, url.port)):
            raise Denied(f"{self.name} redirects to another server, {target.scheme}://{target.host}: give its address")
        return target
