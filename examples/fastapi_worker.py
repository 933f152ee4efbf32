"""A FastAPI application whose endpoint starts work and publishes its status. Run it beside a hub:

    pip install statushub fastapi uvicorn
    uvicorn fastapi_worker:app --app-dir examples --port 8001
    curl -X POST localhost:8001/articles/article-13/summary

`STATUSHUB_URL` names the hub, or the Redis behind the hubs, and `STATUSHUB_TOKEN` holds a token if the hub needs one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, TypedDict

from fastapi import BackgroundTasks, Depends, FastAPI, Request

from statushub import Producer

CHANNEL = "drafts"


class State(TypedDict):
    """What lives as long as the application."""

    producer: Producer


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[State]:
    """One producer for the application: it keeps a connection, and delivers what is left when the application stops."""
    async with Producer() as producer:
        yield {"producer": producer}


app = FastAPI(lifespan=lifespan)


def producer_of(request: Request) -> Producer:
    """The application's producer."""
    producer: Producer = request.state.producer
    return producer


@app.post("/articles/{article_id}/summary", status_code=202)
async def start(
    article_id: str, background: BackgroundTasks, producer: Annotated[Producer, Depends(producer_of)]
) -> dict[str, str]:
    """Start the work, and answer immediately where its status can be watched."""
    background.add_task(summarize, producer, article_id)
    return {"channel": CHANNEL, "content_id": article_id}


async def summarize(producer: Producer, article_id: str) -> None:
    """Report each step. An exception that leaves the block is reported as `processing_error`."""
    async with producer.work(article_id, channel=CHANNEL) as work:
        sentences: list[str] = []
        for step in range(1, 5):
            sentences.append(await next_sentence(article_id))
            await work.update("generating", processing_status="summarizing", progress=25 * step)
        await work.complete(ai_gen_metadata={"summary": " ".join(sentences)})


async def next_sentence(article_id: str) -> str:
    """In place of a call to a model."""
    await asyncio.sleep(0.2)
    if article_id == "unreadable":
        raise ValueError("the article has no text")
    return "Ships left the harbour."
