"""Orders."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, EmailStr, Field, computed_field

from models.common import IdIn, IdOut, Paging, Stored


class OrderStatus(StrEnum):
    NEW = "new"
    PAID = "paid"
    SHIPPED = "shipped"
    CANCELLED = "cancelled"


class OrderLineCreate(BaseModel):
    book_id: IdIn
    quantity: int = Field(default=1, ge=1, le=100)


class OrderCreate(BaseModel):
    email: EmailStr
    lines: list[OrderLineCreate] = Field(min_length=1, max_length=20)


class OrderLine(BaseModel):
    """Title and price are copied: an order must not change when the book does."""

    book_id: IdOut
    title: str
    price_cents: int
    quantity: int


class Order(Stored):
    email: str
    lines: list[OrderLine]
    status: OrderStatus
    created_at: datetime

    @computed_field
    @property
    def total_cents(self) -> int:
        return sum(line.price_cents * line.quantity for line in self.lines)


class OrderFilter(Paging):
    """The query parameters of GET /orders."""

    status: OrderStatus | None = None
