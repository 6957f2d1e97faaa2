"""Books."""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, computed_field

from models.common import IdIn, IdOut, Paging, Stored


class Genre(StrEnum):
    FICTION = "fiction"
    FANTASY = "fantasy"
    SCIENCE = "science"
    HISTORY = "history"
    POETRY = "poetry"
    CHILDREN = "children"


class BookSort(StrEnum):
    NEWEST = "newest"
    TITLE = "title"
    PRICE = "price"


def check_isbn(value: str) -> str:
    """ISBN-13: thirteen digits; with weights 1 and 3 in turn their sum is a multiple of ten."""
    digits = value.replace("-", "")
    if len(digits) != 13 or not (digits.isascii() and digits.isdigit()):
        raise ValueError("an ISBN has 13 digits")
    if sum(int(digit) * (3 if index % 2 else 1) for index, digit in enumerate(digits)) % 10:
        raise ValueError("the check digit of this ISBN is wrong: is there a typing error?")
    return digits


Isbn = Annotated[str, AfterValidator(check_isbn)]
# Money is a whole number of cents: 0.1 + 0.2 is not 0.3 for a computer.
Cents = Annotated[int, Field(ge=0, le=10_000_000)]
Title = Annotated[str, Field(min_length=1, max_length=200)]
Stock = Annotated[int, Field(ge=0, le=100_000)]


class BookCreate(BaseModel):
    title: Title = Field(examples=["A Wizard of Earthsea"])
    isbn: Isbn = Field(examples=["978-0-547-77374-2"])
    author_id: IdIn
    genre: Genre
    price_cents: Cents = Field(examples=[1299])
    stock: Stock = 0


class BookUpdate(BaseModel):
    """Fields that are left out stay as they are. Stock changes by restocking and by orders.

    The defaults are never stored: the service uses only what the caller sent (exclude_unset).
    """

    title: Title = "-"
    genre: Genre = Genre.FICTION
    price_cents: Cents = 0


class Restock(BaseModel):
    quantity: int = Field(ge=1, le=10_000)


class Book(Stored):
    title: str
    isbn: str
    author_id: IdOut
    genre: Genre
    price_cents: int
    stock: int

    @computed_field
    @property
    def price(self) -> str:
        """The price for people: 1299 cents are 12.99."""
        return f"{self.price_cents / 100:.2f}"


class BookFilter(Paging):
    """The query parameters of GET /books."""

    q: str = Field(default="", max_length=100, description="Part of the title")
    genre: Genre | None = None
    author_id: IdIn | None = None
    max_price_cents: Cents | None = None
    in_stock: bool = False
    sort: BookSort = BookSort.NEWEST
