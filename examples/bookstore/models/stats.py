"""Statistics."""

from pydantic import BaseModel

from models.books import Genre
from models.common import IdOut


class GenreStats(BaseModel):
    genre: Genre
    titles: int
    copies: int
    average_price_cents: int


class Bestseller(BaseModel):
    book_id: IdOut
    title: str
    sold: int


class TopRated(BaseModel):
    book_id: IdOut
    title: str
    stars: float
    reviews: int


class ShopStats(BaseModel):
    authors: int
    books: int
    orders: int
    revenue_cents: int
    currency: str
    low_stock: int
    genres: list[GenreStats]
