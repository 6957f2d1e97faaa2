"""CRUD with MongoDB: create, read, update and delete items over a JSON API.

The platform hands every app a database through the environment variable
PLATFORM_MONGO_URI. On your own machine the default below uses a local MongoDB.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

from bson import ObjectId
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response, status
from pydantic import BaseModel, BeforeValidator, Field
from pymongo import AsyncMongoClient, ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection

MONGO_URI = os.environ.get("PLATFORM_MONGO_URI", "mongodb://localhost:27017/examples")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Runs once around the life of the app: connect before `yield`, disconnect after."""
    async with AsyncMongoClient(MONGO_URI, tz_aware=True, serverSelectionTimeoutMS=5000) as client:
        # The URI names the database, so there is nothing else to configure.
        app.state.items = client.get_default_database()["items"]
        yield


app = FastAPI(title="Items", lifespan=lifespan)


# --- Models: what comes in, what goes out -------------------------------------------------


class ItemCreate(BaseModel):
    """The body of POST /items."""

    name: str = Field(min_length=1, max_length=100, examples=["Notebook"])
    price: float = Field(ge=0, examples=[4.5])
    tags: list[str] = Field(default_factory=list, max_length=10)


class ItemUpdate(BaseModel):
    """The body of PATCH /items/{item_id}: send only the fields that change.

    The defaults are never stored: `update_item` uses only what the caller sent (exclude_unset).
    """

    name: str = Field(default="", min_length=1, max_length=100)
    price: float = Field(default=0, ge=0)
    tags: list[str] = Field(default_factory=list, max_length=10)


class Item(ItemCreate):
    """An item as stored. MongoDB calls its key `_id`; our API calls it `id`, as text."""

    id: Annotated[str, BeforeValidator(str), Field(validation_alias="_id")]
    created_at: datetime


class ItemPage(BaseModel):
    """One page of items, and how many there are in all."""

    items: list[Item]
    total: int
    limit: int
    offset: int


# --- Dependencies: what the routes need ---------------------------------------------------


def get_items(request: Request) -> AsyncCollection[dict[str, Any]]:
    """The collection that `lifespan` prepared."""
    return request.app.state.items


def no_such_item(item_id: object) -> HTTPException:
    return HTTPException(status.HTTP_404_NOT_FOUND, f"There is no item with the id '{item_id}'.")


def get_item_id(item_id: str) -> ObjectId:
    """Turn the id in the path into an ObjectId. Text that cannot be one is simply not found."""
    if not ObjectId.is_valid(item_id):
        raise no_such_item(item_id)
    return ObjectId(item_id)


Items = Annotated[AsyncCollection[dict[str, Any]], Depends(get_items)]
ItemId = Annotated[ObjectId, Depends(get_item_id)]


# --- Routes -------------------------------------------------------------------------------


@app.get("/")
async def index() -> dict[str, str]:
    """Where to go from here."""
    return {"items": "/items", "docs": "/docs"}


@app.post("/items", status_code=status.HTTP_201_CREATED)
async def create_item(new: ItemCreate, items: Items) -> Item:
    """Store an item and answer with it, id included."""
    document = {**new.model_dump(), "created_at": datetime.now(UTC)}
    await items.insert_one(document)  # adds the `_id` to the document
    return Item.model_validate(document)


@app.get("/items")
async def list_items(
    items: Items,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    offset: Annotated[int, Query(ge=0)] = 0,
    tag: Annotated[str | None, Query(description="Only items with this tag")] = None,
) -> ItemPage:
    """List items, newest first, one page at a time."""
    query = {"tags": tag} if tag else {}
    documents = await items.find(query).sort("_id", -1).skip(offset).limit(limit).to_list()
    return ItemPage(
        items=[Item.model_validate(document) for document in documents],
        total=await items.count_documents(query),
        limit=limit,
        offset=offset,
    )


@app.get("/items/{item_id}")
async def read_item(item_id: ItemId, items: Items) -> Item:
    """Read one item."""
    document = await items.find_one({"_id": item_id})
    if document is None:
        raise no_such_item(item_id)
    return Item.model_validate(document)


@app.patch("/items/{item_id}")
async def update_item(item_id: ItemId, changes: ItemUpdate, items: Items) -> Item:
    """Change some fields of an item and answer with the result."""
    fields = changes.model_dump(exclude_unset=True)  # only what the caller really sent
    if not fields:
        raise HTTPException(status.HTTP_400_BAD_REQUEST, "Send at least one of: name, price, tags.")
    document = await items.find_one_and_update(
        {"_id": item_id}, {"$set": fields}, return_document=ReturnDocument.AFTER
    )
    if document is None:
        raise no_such_item(item_id)
    return Item.model_validate(document)


@app.delete("/items/{item_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_item(item_id: ItemId, items: Items) -> Response:
    """Delete an item. 204 means: done, nothing more to say."""
    result = await items.delete_one({"_id": item_id})
    if result.deleted_count == 0:
        raise no_such_item(item_id)
    return Response(status_code=status.HTTP_204_NO_CONTENT)
