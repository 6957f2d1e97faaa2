"""What the shop knows about itself, computed inside MongoDB by aggregation pipelines.

A pipeline is a list of steps; the documents flow through them from top to bottom.
"""

from typing import Any

from database import Collection, DatabaseDep
from models.orders import OrderStatus
from models.stats import Bestseller, GenreStats, ShopStats, TopRated
from settings import get_settings

SOLD = {"status": {"$in": [OrderStatus.PAID, OrderStatus.SHIPPED]}}


async def aggregate(collection: Collection, *steps: dict[str, Any]) -> list[dict[str, Any]]:
    cursor = await collection.aggregate(list(steps))
    return await cursor.to_list()


class StatsService:
    def __init__(self, database: DatabaseDep) -> None:
        self.database = database

    async def shop(self) -> ShopStats:
        settings = get_settings()
        return ShopStats(
            authors=await self.database.authors.count_documents({}),
            books=await self.database.books.count_documents({}),
            orders=await self.database.orders.count_documents({}),
            revenue_cents=await self._revenue(),
            currency=settings.currency,
            low_stock=await self.database.books.count_documents({"stock": {"$lte": settings.low_stock}}),
            genres=await self.genres(),
        )

    async def genres(self) -> list[GenreStats]:
        rows = await aggregate(
            self.database.books,
            {
                "$group": {
                    "_id": "$genre",
                    "titles": {"$sum": 1},
                    "copies": {"$sum": "$stock"},
                    "average": {"$avg": "$price_cents"},
                }
            },
            {"$set": {"genre": "$_id", "average_price_cents": {"$toInt": {"$round": "$average"}}}},
            {"$sort": {"titles": -1, "genre": 1}},
        )
        return [GenreStats.model_validate(row) for row in rows]

    async def bestsellers(self, limit: int) -> list[Bestseller]:
        rows = await aggregate(
            self.database.orders,
            {"$match": SOLD},
            {"$unwind": "$lines"},  # one document a line
            {
                "$group": {
                    "_id": "$lines.book_id",
                    "title": {"$last": "$lines.title"},
                    "sold": {"$sum": "$lines.quantity"},
                }
            },
            {"$sort": {"sold": -1, "title": 1}},
            {"$limit": limit},
        )
        return [Bestseller(book_id=row["_id"], title=row["title"], sold=row["sold"]) for row in rows]

    async def top_rated(self, limit: int) -> list[TopRated]:
        rows = await aggregate(
            self.database.reviews,
            {"$group": {"_id": "$book_id", "stars": {"$avg": "$stars"}, "reviews": {"$sum": 1}}},
            {"$sort": {"stars": -1, "reviews": -1, "_id": 1}},
            {"$limit": limit},
            {
                # A join: fetch the book that the reviews are about.
                "$lookup": {
                    "from": self.database.books.name,
                    "localField": "_id",
                    "foreignField": "_id",
                    "as": "book",
                }
            },
            {"$unwind": "$book"},
            {"$set": {"book_id": "$_id", "title": "$book.title", "stars": {"$round": ["$stars", 2]}}},
        )
        return [TopRated.model_validate(row) for row in rows]

    async def _revenue(self) -> int:
        line_total = {"$multiply": ["$lines.price_cents", "$lines.quantity"]}
        rows = await aggregate(
            self.database.orders,
            {"$match": SOLD},
            {"$unwind": "$lines"},
            {"$group": {"_id": None, "cents": {"$sum": line_total}}},
        )
        return rows[0]["cents"] if rows else 0
