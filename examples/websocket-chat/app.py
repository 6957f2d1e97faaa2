"""Chat rooms over WebSockets.

A WebSocket is a connection that stays open, so that both sides can send at any time.
The app keeps no history: who is in which room lives in memory, and when the last person
leaves there is nothing left to remember. An open connection keeps the app awake.
"""

import asyncio
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path as FilePath
from typing import Annotated, Literal

from fastapi import FastAPI, Path, Query, WebSocket, status
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field, StringConstraints

STATIC = FilePath(__file__).parent / "static"
MAX_TEXT_LENGTH = 500

app = FastAPI(title="Chat")
app.mount("/static", StaticFiles(directory=STATIC), name="static")


Kind = Literal["join", "leave", "text"]


class Message(BaseModel):
    """What everyone in a room receives."""

    type: Kind
    name: str
    text: str = ""
    people: list[str]
    sent_at: datetime = Field(default_factory=lambda: datetime.now(UTC))


class Room:
    """The people in one room, each with a name and a connection."""

    def __init__(self) -> None:
        self.people: dict[str, WebSocket] = {}

    async def broadcast(self, kind: Kind, name: str, text: str = "") -> None:
        """Send to everyone at once. A connection that has just broken must not stop the others."""
        message = Message(type=kind, name=name, text=text, people=sorted(self.people))
        sends = [person.send_text(message.model_dump_json()) for person in self.people.values()]
        await asyncio.gather(*sends, return_exceptions=True)


rooms: defaultdict[str, Room] = defaultdict(Room)


@app.get("/", include_in_schema=False)
async def index() -> FileResponse:
    """The chat page."""
    return FileResponse(STATIC / "index.html")


@app.get("/rooms")
async def list_rooms() -> dict[str, int]:
    """How many people are in each room."""
    return {name: len(room.people) for name, room in rooms.items()}


@app.websocket("/ws/{room_name}")
async def chat(
    websocket: WebSocket,
    room_name: Annotated[str, Path(pattern=r"^[a-z0-9-]{1,30}$")],
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=30), Query()],
) -> None:
    """One person's stay in a room: join, pass messages on, leave."""
    await websocket.accept()
    room = rooms[room_name]
    if name in room.people:
        reason = f"Someone called {name} is already here."
        await websocket.close(status.WS_1008_POLICY_VIOLATION, reason)
        return

    room.people[name] = websocket
    try:
        await room.broadcast("join", name)
        async for text in websocket.iter_text():  # ends when the person disconnects
            if text := text.strip()[:MAX_TEXT_LENGTH]:
                await room.broadcast("text", name, text)
    finally:
        # Whatever happened, nobody stays in the list as a ghost.
        del room.people[name]
        if room.people:
            await room.broadcast("leave", name)
        else:
            rooms.pop(room_name, None)
