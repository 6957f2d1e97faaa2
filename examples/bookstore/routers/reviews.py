"""/books/{book_id}/reviews and /reviews"""

from fastapi import APIRouter, Response, status

from models.common import Page, PagingQuery
from models.reviews import Review, ReviewCreate
from routers.dependencies import Books, PathId, Reviews

router = APIRouter(tags=["reviews"])


@router.get("/books/{book_id}/reviews")
async def list_reviews(books: Books, reviews: Reviews, book_id: PathId, paging: PagingQuery) -> Page[Review]:
    """Reviews of a book, newest first."""
    book = await books.get(book_id)  # 404 if there is no such book
    return await reviews.find(book.id, paging)


@router.post("/books/{book_id}/reviews", status_code=status.HTTP_201_CREATED)
async def add_review(books: Books, reviews: Reviews, book_id: PathId, new: ReviewCreate) -> Review:
    book = await books.get(book_id)
    return await reviews.add(book.id, new)


@router.delete("/reviews/{review_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_review(reviews: Reviews, review_id: PathId) -> Response:
    await reviews.delete(review_id)
    return Response(status_code=status.HTTP_204_NO_CONTENT)
