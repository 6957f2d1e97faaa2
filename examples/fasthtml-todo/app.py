"""A to-do list with FastHTML: pages made of Python functions, kept in MongoDB.

Every button is an ordinary form, so the page works without JavaScript. Where HTMX is
loaded it sends the same forms in the background, and we answer with the list alone
instead of a whole page: nothing flickers, nothing reloads.
"""

import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from bson import ObjectId
from fasthtml.common import (
    H1,
    Button,
    FastHTML,
    Footer,
    Form,
    HtmxHeaders,
    Input,
    Li,
    Link,
    Main,
    Meta,
    P,
    Script,
    Section,
    Span,
    Title,
    Ul,
    fast_app,
)
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

STATIC = Path(__file__).parent / "static"
MONGO_URI = os.environ.get("PLATFORM_MONGO_URI", "mongodb://localhost:27017/examples")
MAX_LENGTH = 200


async def lifespan(app: FastHTML) -> AsyncIterator[None]:
    """Connect to MongoDB when the app starts, disconnect when it stops.

    FastHTML takes the generator as it is; FastAPI would want @asynccontextmanager above it.
    """
    async with AsyncMongoClient(MONGO_URI, serverSelectionTimeoutMS=5000) as client:
        app.state.todos = client.get_default_database()["todos"]
        yield


def not_found(request: Any, error: Exception) -> Any:
    return page(P("That to-do does not exist (any more).", cls="hint"))


app, rt = fast_app(
    title="To-do",
    lifespan=lifespan,
    exception_handlers={404: not_found},
    # FastHTML's own headers load scripts from a CDN. We bring what we need: static/htmx.min.js.
    default_hdrs=False,
    hdrs=(
        Meta(charset="utf-8"),
        Meta(name="viewport", content="width=device-width, initial-scale=1"),
        Link(rel="icon", href="/static/icon.svg"),
        Link(rel="stylesheet", href="/static/style.css"),
        Script(src="/static/htmx.min.js", defer=True),
    ),
    canonical=False,
    htmlkw={"lang": "en"},
    routes=[Mount("/static", StaticFiles(directory=STATIC), name="static")],
    # Without a key FastHTML writes one to a file, but the app folder is read-only. We keep
    # nothing in the session, so a fresh key at each start is fine.
    secret_key=secrets.token_hex(32),
)
# fast_app also adds a route that serves any .txt, .pdf, .csv … by its path, even one outside this
# folder ("/../x.txt"). We have /static, so take that route out.
app.router.routes[:] = [route for route in app.router.routes if "{ext:static}" not in route.path]


# --- Pieces of the page -------------------------------------------------------------------


def action(label: str, path: str, **attributes: Any) -> Any:
    """A button that posts to `path`: by HTMX if it is there, as a plain form if not."""
    return Form(
        Button(label, **attributes),
        action=path,
        method="post",
        hx_post=path,
        hx_target="#todos",
        hx_swap="outerHTML",
    )


def todo_row(todo: dict[str, Any]) -> Any:
    """One to-do. FastHTML escapes the text, so HTML in it stays harmless."""
    done, path = todo["done"], f"/todos/{todo['_id']}"
    return Li(
        action("✓" if done else "", f"{path}/toggle", cls="tick", aria_label="Not done" if done else "Done"),
        Span(todo["text"], cls="text"),
        action("×", f"{path}/delete", cls="remove", aria_label="Delete"),
        cls="done" if done else "",
    )


async def todo_list() -> Any:
    """The whole list: the part of the page that changes."""
    todos = await collection().find().sort("_id", -1).limit(200).to_list()
    left = sum(not todo["done"] for todo in todos)
    return Section(
        Ul(*map(todo_row, todos)) if todos else P("Nothing to do. Enjoy!", cls="hint"),
        Footer(
            Span(f"{left} left", cls="hint"),
            action("Clear done", "/todos/clear", cls="quiet") if left < len(todos) else "",
        ),
        id="todos",
        cls="card",
    )


def page(*content: Any) -> Any:
    return Title("To-do"), Main(H1("To-do"), *content)


# --- Routes -------------------------------------------------------------------------------


def collection() -> AsyncCollection[dict[str, Any]]:
    return app.state.todos


def find(todo_id: str) -> dict[str, ObjectId]:
    """The MongoDB query for one to-do. Text that is no id matches nothing: 404."""
    if not ObjectId.is_valid(todo_id):
        raise HTTPException(404)
    return {"_id": ObjectId(todo_id)}


async def answer(htmx: HtmxHeaders) -> Any:
    """After a change: the new list for HTMX, a redirect home for a plain form."""
    return await todo_list() if htmx.request else RedirectResponse("/", status_code=303)


@rt("/", methods=["GET"])
async def home() -> Any:
    new_todo = Form(
        Input(
            name="text",
            placeholder="What needs to be done?",
            aria_label="New to-do",
            maxlength=MAX_LENGTH,
            required=True,
            autofocus=True,
        ),
        Button("Add"),
        action="/todos",
        method="post",
        hx_post="/todos",
        hx_target="#todos",
        hx_swap="outerHTML",
        # HTMX leaves the form as it is; empty it once the answer is there.
        hx_on__after_request="if (event.detail.successful) this.reset()",
        cls="new",
    )
    return page(new_todo, await todo_list())


@rt("/todos", methods=["POST"])
async def add(text: str, htmx: HtmxHeaders) -> Any:
    if text := text.strip()[:MAX_LENGTH]:
        await collection().insert_one({"text": text, "done": False})
    return await answer(htmx)


@rt("/todos/clear", methods=["POST"])
async def clear(htmx: HtmxHeaders) -> Any:
    await collection().delete_many({"done": True})
    return await answer(htmx)


@rt("/todos/{todo_id}/toggle", methods=["POST"])
async def toggle(todo_id: str, htmx: HtmxHeaders) -> Any:
    """Flip `done` inside the database, so that two clicks at once cannot overwrite each other."""
    flip = [{"$set": {"done": {"$not": "$done"}}}]
    result = await collection().update_one(find(todo_id), flip)
    if result.matched_count == 0:
        raise HTTPException(404)
    return await answer(htmx)


@rt("/todos/{todo_id}/delete", methods=["POST"])
async def delete(todo_id: str, htmx: HtmxHeaders) -> Any:
    await collection().delete_one(find(todo_id))
    return await answer(htmx)
