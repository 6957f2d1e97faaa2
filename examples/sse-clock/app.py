"""A clock over server-sent events (SSE): the server keeps one answer open and adds to it.

SSE is the simplest way to push news to a browser: plain HTTP, one direction, and the
browser reconnects by itself. An open stream keeps the app awake, so the page closes its
stream while nobody looks at it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Header, Query
from fastapi.responses import FileResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel

STATIC = Path(__file__).parent / "static"
INTERVAL_SECONDS = 1
RETRY_MS = 2000

logger = logging.getLogger("uvicorn.error")

app = FastAPI(title="Clock")
app.mount("/static", StaticFiles(directory=STATIC), name="static")


class Tick(BaseModel):
    """The data of one event."""

    number: int
    time: datetime


@app.get("/", include_in_schema=False)
async def index() -> FileResponse:
    """The page with the clock."""
    return FileResponse(STATIC / "index.html")


@app.get("/time")
async def time() -> dict[str, datetime]:
    """The time once, for those who do not want a stream."""
    return {"time": datetime.now(UTC)}


@app.get("/events", response_class=EventSourceResponse)
async def events(
    ticks: Annotated[int | None, Query(ge=1, le=3600, description="Stop after so many events")] = None,
    last_event_id: Annotated[int, Header(ge=0, description="Sent by the browser when it reconnects")] = 0,
) -> AsyncIterator[ServerSentEvent]:
    """The time, every second, until the client leaves (or `ticks` events were sent).

    Each event has an `id`. A browser that lost its connection waits `retry` milliseconds,
    then asks again with the last id it saw, and we go on counting from there.
    """
    number = last_event_id
    try:
        while ticks is None or number < last_event_id + ticks:
            number += 1
            tick = Tick(number=number, time=datetime.now(UTC))
            yield ServerSentEvent(data=tick, event="tick", id=str(number), retry=RETRY_MS)
            await asyncio.sleep(INTERVAL_SECONDS)
    finally:
        # When the client goes, FastAPI cancels this function: the place to clean up.
        logger.info("stream ended after tick %d", number)
