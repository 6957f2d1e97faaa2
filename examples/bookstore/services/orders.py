"""What the shop does with orders: take copies off the shelf, and move an order on."""

from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument

from database import DatabaseDep
from errors import ConflictError, NotFoundError, OutOfStockError
from models.common import Page
from models.orders import Order, OrderCreate, OrderFilter, OrderLineCreate, OrderStatus
from services.paging import find_page

# From which states an order may get into each state.
ALLOWED_FROM: dict[OrderStatus, list[OrderStatus]] = {
    OrderStatus.PAID: [OrderStatus.NEW],
    OrderStatus.SHIPPED: [OrderStatus.PAID],
    OrderStatus.CANCELLED: [OrderStatus.NEW, OrderStatus.PAID],
}


class OrderService:
    def __init__(self, database: DatabaseDep) -> None:
        self.orders = database.orders
        self.books = database.books

    async def find(self, wanted: OrderFilter) -> Page[Order]:
        query = {"status": wanted.status} if wanted.status else {}
        return await find_page(self.orders, Order, wanted, query)

    async def get(self, order_id: str) -> Order:
        document = await self.orders.find_one({"_id": ObjectId(order_id)})
        if document is None:
            raise NotFoundError("order", order_id)
        return Order.model_validate(document)

    async def place(self, new: OrderCreate) -> Order:
        """Take every book off the shelf; if one is missing, put the others back."""
        taken: list[dict[str, Any]] = []
        try:
            for line in new.lines:
                taken.append(await self._take(line))
        except Exception:
            await self._put_back(taken)
            raise
        document: dict[str, Any] = {
            "email": new.email,
            "lines": taken,
            "status": OrderStatus.NEW,
            "created_at": datetime.now(UTC),
        }
        await self.orders.insert_one(document)
        return Order.model_validate(document)

    async def move(self, order_id: str, to: OrderStatus) -> Order:
        """Change the state of an order, if its present state allows it."""
        # The old state is part of the query: of two requests at once only one can succeed.
        document = await self.orders.find_one_and_update(
            {"_id": ObjectId(order_id), "status": {"$in": ALLOWED_FROM[to]}},
            {"$set": {"status": to}},
            return_document=ReturnDocument.AFTER,
        )
        if document is None:
            order = await self.get(order_id)
            raise ConflictError(f"The order is {order.status}, so it cannot become {to}.")
        if to is OrderStatus.CANCELLED:
            await self._put_back(document["lines"])
        return Order.model_validate(document)

    async def _take(self, line: OrderLineCreate) -> dict[str, Any]:
        """Take copies of one book. Checking and taking are one step: nothing is sold twice."""
        book_id = ObjectId(line.book_id)
        book = await self.books.find_one_and_update(
            {"_id": book_id, "stock": {"$gte": line.quantity}}, {"$inc": {"stock": -line.quantity}}
        )
        if book is None:
            book = await self.books.find_one({"_id": book_id})
            if book is None:
                raise NotFoundError("book", line.book_id)
            raise OutOfStockError(f"Only {book['stock']} of '{book['title']}' left.")
        return {
            "book_id": book_id,
            "title": book["title"],
            "price_cents": book["price_cents"],
            "quantity": line.quantity,
        }

    async def _put_back(self, lines: list[dict[str, Any]]) -> None:
        for line in lines:
            await self.books.update_one({"_id": line["book_id"]}, {"$inc": {"stock": line["quantity"]}})
