"""What the shop does with books."""

import re
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from database import DatabaseDep
from errors import ConflictError, NotFoundError
from models.books import Book, BookCreate, BookFilter, BookSort, BookUpdate
from models.common import Page
from services.paging import find_page

SORT: dict[BookSort, dict[str, int]] = {
    BookSort.NEWEST: {"_id": -1},
    BookSort.TITLE: {"title": 1, "_id": 1},
    BookSort.PRICE: {"price_cents": 1, "_id": 1},
}


def to_query(wanted: BookFilter) -> dict[str, Any]:
    """The MongoDB query for what the caller asked for."""
    query: dict[str, Any] = {}
    if wanted.q:
        query["title"] = {"$regex": re.escape(wanted.q), "$options": "i"}
    if wanted.genre:
        query["genre"] = wanted.genre
    if wanted.author_id:
        query["author_id"] = ObjectId(wanted.author_id)
    if wanted.max_price_cents is not None:
        query["price_cents"] = {"$lte": wanted.max_price_cents}
    if wanted.in_stock:
        query["stock"] = {"$gt": 0}
    return query


class BookService:
    def __init__(self, database: DatabaseDep) -> None:
        self.books = database.books
        self.authors = database.authors
        self.reviews = database.reviews

    async def find(self, wanted: BookFilter) -> Page[Book]:
        return await find_page(self.books, Book, wanted, to_query(wanted), SORT[wanted.sort])

    async def get(self, book_id: str) -> Book:
        document = await self.books.find_one({"_id": ObjectId(book_id)})
        if document is None:
            raise NotFoundError("book", book_id)
        return Book.model_validate(document)

    async def get_by_isbn(self, isbn: str) -> Book:
        document = await self.books.find_one({"isbn": isbn})
        if document is None:
            raise NotFoundError("book with the ISBN", isbn)
        return Book.model_validate(document)

    async def add(self, new: BookCreate) -> Book:
        author_id = ObjectId(new.author_id)
        if not await self.authors.find_one({"_id": author_id}):
            raise NotFoundError("author", new.author_id)
        document = {**new.model_dump(), "author_id": author_id}
        try:
            await self.books.insert_one(document)
        except DuplicateKeyError as error:
            raise ConflictError(f"There already is a book with the ISBN {new.isbn}.") from error
        return Book.model_validate(document)

    async def update(self, book_id: str, changes: BookUpdate) -> Book:
        fields = changes.model_dump(exclude_unset=True)
        return await self._change(book_id, {"$set": fields}) if fields else await self.get(book_id)

    async def restock(self, book_id: str, quantity: int) -> Book:
        # $inc adds inside the database, so two restocks at once both count.
        return await self._change(book_id, {"$inc": {"stock": quantity}})

    async def delete(self, book_id: str) -> None:
        result = await self.books.delete_one({"_id": ObjectId(book_id)})
        if result.deleted_count == 0:
            raise NotFoundError("book", book_id)
        await self.reviews.delete_many({"book_id": ObjectId(book_id)})

    async def _change(self, book_id: str, change: dict[str, Any]) -> Book:
        document = await self.books.find_one_and_update(
            {"_id": ObjectId(book_id)}, change, return_document=ReturnDocument.AFTER
        )
        if document is None:
            raise NotFoundError("book", book_id)
        return Book.model_validate(document)
