"""What the shop does with reviews."""

from datetime import UTC, datetime

from bson import ObjectId

from database import DatabaseDep
from errors import NotFoundError
from models.common import Page, Paging
from models.reviews import Review, ReviewCreate
from services.paging import find_page


class ReviewService:
    def __init__(self, database: DatabaseDep) -> None:
        self.reviews = database.reviews

    async def find(self, book_id: str, paging: Paging) -> Page[Review]:
        return await find_page(self.reviews, Review, paging, {"book_id": ObjectId(book_id)})

    async def add(self, book_id: str, new: ReviewCreate) -> Review:
        document = {**new.model_dump(), "book_id": ObjectId(book_id), "created_at": datetime.now(UTC)}
        await self.reviews.insert_one(document)
        return Review.model_validate(document)

    async def delete(self, review_id: str) -> None:
        result = await self.reviews.delete_one({"_id": ObjectId(review_id)})
        if result.deleted_count == 0:
            raise NotFoundError("review", review_id)
