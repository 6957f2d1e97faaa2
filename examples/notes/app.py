"""Notes: a full-stack app. FastAPI answers, jinja2 makes the pages, MongoDB remembers.

The pages need no JavaScript. Each form posts, the app changes the database and then
redirects (303) to a page, so that reloading never sends a form twice.
"""

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from bson import ObjectId
from fastapi import Depends, FastAPI, Form, HTTPException, Query, Request, Response, status
from fastapi.exception_handlers import http_exception_handler, request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from starlette.exceptions import HTTPException as StarletteHTTPException

HERE = Path(__file__).parent
MONGO_URI = os.environ.get("PLATFORM_MONGO_URI", "mongodb://localhost:27017/examples")
MAX_NOTES_SHOWN = 200


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Connect to MongoDB when the app starts, disconnect when it stops."""
    async with AsyncMongoClient(MONGO_URI, tz_aware=True, serverSelectionTimeoutMS=5000) as client:
        app.state.notes = client.get_default_database()["notes"]
        yield


app = FastAPI(title="Notes", lifespan=lifespan)
app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
# Templates escape every value, so a note that contains HTML is shown as text, never run.
templates = Jinja2Templates(directory=HERE / "templates")


class NoteInput(BaseModel):
    """What a person writes, in a form or as JSON. A title of only spaces is refused."""

    model_config = ConfigDict(str_strip_whitespace=True)

    title: str = Field(min_length=1, max_length=120)
    body: str = Field(default="", max_length=10_000)
    pinned: bool = False


class Note(NoteInput):
    """A note as stored."""

    id: Annotated[str, BeforeValidator(str), Field(validation_alias="_id")]
    updated_at: datetime


class Notes:
    """Everything the app does with the collection of notes."""

    def __init__(self, collection: AsyncCollection[dict[str, Any]]) -> None:
        self.collection = collection

    async def search(self, text: str = "") -> list[Note]:
        """Notes that contain `text`, pinned ones first, then the latest."""
        # re.escape: what the visitor types is plain text, not a regular expression.
        contains = {"$regex": re.escape(text), "$options": "i"}
        query = {"$or": [{"title": contains}, {"body": contains}]} if text else {}
        cursor = self.collection.find(query).sort({"pinned": -1, "updated_at": -1})
        return [Note.model_validate(document) async for document in cursor.limit(MAX_NOTES_SHOWN)]

    async def get(self, note_id: ObjectId) -> Note:
        document = await self.collection.find_one({"_id": note_id})
        if document is None:
            raise HTTPException(status.HTTP_404_NOT_FOUND, "There is no such note.")
        return Note.model_validate(document)

    async def add(self, note: NoteInput) -> Note:
        document = {**note.model_dump(), "updated_at": datetime.now(UTC)}
        await self.collection.insert_one(document)
        return Note.model_validate(document)

    async def change(self, note_id: ObjectId, note: NoteInput) -> None:
        fields = {**note.model_dump(), "updated_at": datetime.now(UTC)}
        result = await self.collection.update_one({"_id": note_id}, {"$set": fields})
        if result.matched_count == 0:
            raise HTTPException(status.HTTP_404_NOT_FOUND, "There is no such note.")

    async def delete(self, note_id: ObjectId) -> None:
        await self.collection.delete_one({"_id": note_id})


def get_notes(request: Request) -> Notes:
    return Notes(request.app.state.notes)


def get_note_id(note_id: str) -> ObjectId:
    if not ObjectId.is_valid(note_id):
        raise HTTPException(status.HTTP_404_NOT_FOUND, "There is no such note.")
    return ObjectId(note_id)


NotesDep = Annotated[Notes, Depends(get_notes)]
NoteId = Annotated[ObjectId, Depends(get_note_id)]
NoteForm = Annotated[NoteInput, Form()]


def back_home() -> RedirectResponse:
    return RedirectResponse("/", status.HTTP_303_SEE_OTHER)


# --- Pages --------------------------------------------------------------------------------


@app.get("/", response_class=HTMLResponse)
async def home(request: Request, notes: NotesDep, q: Annotated[str, Query(max_length=100)] = "") -> Response:
    """All notes, or the ones that contain `q`."""
    found = await notes.search(q.strip())
    return templates.TemplateResponse(request, "index.html", {"notes": found, "q": q})


@app.post("/notes")
async def create_note(notes: NotesDep, note: NoteForm) -> RedirectResponse:
    await notes.add(note)
    return back_home()


@app.get("/notes/{note_id}", response_class=HTMLResponse)
async def edit_page(request: Request, notes: NotesDep, note_id: NoteId) -> Response:
    note = await notes.get(note_id)
    return templates.TemplateResponse(request, "edit.html", {"note": note})


@app.post("/notes/{note_id}")
async def update_note(notes: NotesDep, note_id: NoteId, note: NoteForm) -> RedirectResponse:
    """HTML forms can only GET and POST, so this is a POST and not a PUT."""
    await notes.change(note_id, note)
    return back_home()


@app.post("/notes/{note_id}/delete")
async def delete_note(notes: NotesDep, note_id: NoteId) -> RedirectResponse:
    """Deleting twice is fine: after a double click the note is gone all the same."""
    await notes.delete(note_id)
    return back_home()


# --- The same notes as JSON, for scripts --------------------------------------------------


@app.get("/api/notes")
async def list_notes_json(notes: NotesDep, q: Annotated[str, Query(max_length=100)] = "") -> list[Note]:
    return await notes.search(q.strip())


@app.post("/api/notes", status_code=status.HTTP_201_CREATED)
async def create_note_json(notes: NotesDep, note: NoteInput) -> Note:
    return await notes.add(note)


# --- Errors: a page for people, JSON under /api -------------------------------------------


def error_page(request: Request, status_code: int, problems: list[str]) -> Response:
    context = {"title": HTTPStatus(status_code).phrase, "problems": problems}
    return templates.TemplateResponse(request, "error.html", context, status_code=status_code)


@app.exception_handler(StarletteHTTPException)
async def show_http_error(request: Request, error: StarletteHTTPException) -> Response:
    if request.url.path.startswith("/api/"):
        return await http_exception_handler(request, error)
    return error_page(request, error.status_code, [error.detail])


@app.exception_handler(RequestValidationError)
async def show_invalid_form(request: Request, error: RequestValidationError) -> Response:
    if request.url.path.startswith("/api/"):
        return await request_validation_exception_handler(request, error)
    problems = [f"{problem['loc'][-1]}: {problem['msg']}" for problem in error.errors()]
    return error_page(request, status.HTTP_422_UNPROCESSABLE_CONTENT, problems)
