"""/authors"""

from fastapi import APIRouter, Response, status

from models.authors import Author, AuthorCreate, AuthorUpdate
from models.books import Book, BookFilter
from models.common import Page, PagingQuery
from routers.dependencies import Authors, Books, PathId

router = APIRouter(prefix="/authors", tags=["authors"])


@router.get("")
async def list_authors(authors: Authors, paging: PagingQuery) -> Page[Author]:
    """All authors, by name."""
    return await authors.find(paging)


@router.post("", status_code=status.HTTP_201_CREATED)
async def add_author(authors: Authors, new: AuthorCreate) -> Author:
    return await authors.add(new)


@router.get("/{author_id}")
async def get_author(authors: Authors, author_id: PathId) -> Author:
    return await authors.get(author_id)


@router.patch("/{author_id}")
async def update_author(authors: Authors, author_id: PathId, changes: AuthorUpdate) -> Author:
    return await authors.update(author_id, changes)


@router.delete("/{author_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_author(authors: Authors, author_id: PathId) -> Response:
    """Only an author without books can be deleted."""
    await authors.delete(author_id)
    return Response(status_code=status.HTTP_204_NO_CONTENT)


@router.get("/{author_id}/books")
async def list_books_of_author(
    authors: Authors, books: Books, author_id: PathId, paging: PagingQuery
) -> Page[Book]:
    author = await authors.get(author_id)
    return await books.find(BookFilter(author_id=author.id, limit=paging.limit, offset=paging.offset))
