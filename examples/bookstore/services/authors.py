"""What the shop does with authors."""

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from database import DatabaseDep
from errors import ConflictError, NotFoundError
from models.authors import Author, AuthorCreate, AuthorUpdate
from models.common import Page, Paging
from services.paging import find_page


class AuthorService:
    # FastAPI sees DatabaseDep here and fills it in: a class can be a dependency too.
    def __init__(self, database: DatabaseDep) -> None:
        self.authors = database.authors
        self.books = database.books

    async def find(self, paging: Paging) -> Page[Author]:
        return await find_page(self.authors, Author, paging, sort={"name": 1})

    async def get(self, author_id: str) -> Author:
        document = await self.authors.find_one({"_id": ObjectId(author_id)})
        if document is None:
            raise NotFoundError("author", author_id)
        return Author.model_validate(document)

    async def add(self, new: AuthorCreate) -> Author:
        document = new.model_dump()
        try:
            await self.authors.insert_one(document)
        except DuplicateKeyError as error:
            raise ConflictError(f"There already is an author called '{new.name}'.") from error
        return Author.model_validate(document)

    async def update(self, author_id: str, changes: AuthorUpdate) -> Author:
        fields = changes.model_dump(exclude_unset=True)
        if not fields:
            return await self.get(author_id)
        try:
            document = await self.authors.find_one_and_update(
                {"_id": ObjectId(author_id)}, {"$set": fields}, return_document=ReturnDocument.AFTER
            )
        except DuplicateKeyError as error:
            raise ConflictError(f"There already is an author called '{changes.name}'.") from error
        if document is None:
            raise NotFoundError("author", author_id)
        return Author.model_validate(document)

    async def delete(self, author_id: str) -> None:
        if await self.books.find_one({"author_id": ObjectId(author_id)}):
            raise ConflictError("This author still has books in the shop. Delete those first.")
        result = await self.authors.delete_one({"_id": ObjectId(author_id)})
        if result.deleted_count == 0:
            raise NotFoundError("author", author_id)
