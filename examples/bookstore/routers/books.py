"""/books"""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response, status

from models.books import Book, BookCreate, BookFilter, BookUpdate, Isbn, Restock
from models.common import Page
from routers.dependencies import Books, PathId

router = APIRouter(prefix="/books", tags=["books"])


@router.get("")
async def list_books(books: Books, wanted: Annotated[BookFilter, Query()]) -> Page[Book]:
    """Books by title, genre, author, price or stock, in the order you like."""
    return await books.find(wanted)


@router.post("", status_code=status.HTTP_201_CREATED)
async def add_book(books: Books, new: BookCreate) -> Book:
    return await books.add(new)


@router.get("/isbn/{isbn}")
async def get_book_by_isbn(books: Books, isbn: Annotated[Isbn, Path()]) -> Book:
    return await books.get_by_isbn(isbn)


@router.get("/{book_id}")
async def get_book(books: Books, book_id: PathId) -> Book:
    return await books.get(book_id)


@router.patch("/{book_id}")
async def update_book(books: Books, book_id: PathId, changes: BookUpdate) -> Book:
    return await books.update(book_id, changes)


@router.delete("/{book_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_book(books: Books, book_id: PathId) -> Response:
    """Deletes the book's reviews too. Orders keep their own copy of title and price."""
    await books.delete(book_id)
    return Response(status_code=status.HTTP_204_NO_CONTENT)


@router.post("/{book_id}/restock")
async def restock_book(books: Books, book_id: PathId, restock: Restock) -> Book:
    """Put more copies on the shelf."""
    return await books.restock(book_id, restock.quantity)
