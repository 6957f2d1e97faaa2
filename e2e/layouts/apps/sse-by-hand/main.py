import asyncio
import json

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()


def event(name: str, data: object) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


async def countdown(start: int):
    for n in range(start, 0, -1):
        yield event("tick", {"n": n})
        await asyncio.sleep(0.001)
    yield event("done", None)


@app.get("/events")
async def events(start: int = 3):
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(countdown(start), media_type="text/event-stream", headers=headers)
