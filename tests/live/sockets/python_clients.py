"""The clients `websockets` and `aiohttp`: the arguments are one of these names, the address, the token file, and the
channels."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

Say = Callable[[str], Coroutine[Any, Any, None]]


async def with_websockets(url: str, offers: list[str], opened: Callable[[Say], Coroutine[Any, Any, None]]) -> Any:
    """Yield each message, and at last the close code."""
    import websockets

    try:
        async with websockets.connect(url, subprotocols=offers, proxy=None) as socket:  # type: ignore[arg-type]
            await opened(socket.send)
            async for text in socket:
                yield text
            yield socket.close_code
    except (OSError, websockets.WebSocketException) as error:
        yield getattr(getattr(error, "rcvd", None), "code", 1006)


async def with_aiohttp(url: str, offers: list[str], opened: Callable[[Say], Coroutine[Any, Any, None]]) -> Any:
    """As `with_websockets`."""
    import aiohttp

    try:
        async with aiohttp.ClientSession() as session, session.ws_connect(url, protocols=offers) as socket:
            await opened(socket.send_str)
            async for said in socket:
                yield said.data
            yield socket.close_code
    except (OSError, aiohttp.ClientError):
        yield 1006


async def main(name: str, url: str, tokens: str, *channels: str) -> None:
    """Follow the channels, and resume each of them after every loss."""
    messages = {"websockets": with_websockets, "aiohttp": with_aiohttp}[name]
    cursors: dict[str, str] = {}

    async def opened(say: Say) -> None:
        for channel in channels:
            await say(json.dumps({"type": "subscribe", "channel_id": channel, "since": cursors.get(channel)}))

    while True:
        stream: AsyncIterator[Any] = messages(url, ["statushub", "bearer." + Path(tokens).read_text()], opened)
        async for text in stream:
            if not isinstance(text, str):
                print(json.dumps({"type": "closed", "code": text}), flush=True)
                continue
            said = json.loads(text)
            if said["type"] == "ready":
                cursors[said["channel_id"]] = said["cursor"]
            elif said["type"] == "reset":
                cursors.pop(said["channel_id"], None)
            elif "data" in said:
                cursors[said["data"]["channel_id"]] = said["id"]
            print(text, flush=True)
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
