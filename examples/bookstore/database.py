"""The connection to MongoDB, and the collections of the shop."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from pymongo import ASCENDING, DESCENDING, AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from settings import get_settings

Collection = AsyncCollection[dict[str, Any]]


class Database:
    """The shop's collections. All your apps share one database, so the names carry a prefix."""

    def __init__(self, database: AsyncDatabase[dict[str, Any]]) -> None:
        self.authors: Collection = database["bookstore_authors"]
        self.books: Collection = database["bookstore_books"]
        self.reviews: Collection = database["bookstore_reviews"]
        self.orders: Collection = database["bookstore_orders"]

    async def create_indexes(self) -> None:
        """Idempotent: an index that exists already is left alone.

        The unique ones are rules too: MongoDB itself refuses a second book with the same ISBN,
        even if two requests arrive at the same moment.
        """
        await self.authors.create_index({"name": ASCENDING}, unique=True)
        await self.books.create_index({"isbn": ASCENDING}, unique=True)
        await self.books.create_index({"author_id": ASCENDING})
        await self.reviews.create_index({"book_id": ASCENDING, "_id": DESCENDING})
        await self.orders.create_index({"status": ASCENDING, "_id": DESCENDING})


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Connect to MongoDB when the app starts, disconnect when it stops."""
    uri = get_settings().platform_mongo_uri
    async with AsyncMongoClient(uri, tz_aware=True, serverSelectionTimeoutMS=5000) as client:
        app.state.database = Database(client.get_default_database())
        await app.state.database.create_indexes()
        yield


def get_database(request: Request) -> Database:
    return request.app.state.database


DatabaseDep = Annotated[Database, Depends(get_database)]
