"""Reading one page of a collection."""

from typing import Any, TypeVar

from pydantic import BaseModel

from database import Collection
from models.common import Page, Paging

Model = TypeVar("Model", bound=BaseModel)


async def find_page(
    collection: Collection,
    model: type[Model],
    paging: Paging,
    query: dict[str, Any] | None = None,
    sort: dict[str, int] | None = None,
) -> Page[Model]:
    """The documents that match `query` as models, newest first unless `sort` says otherwise."""
    query = query or {}
    cursor = collection.find(query).sort(sort or {"_id": -1}).skip(paging.offset).limit(paging.limit)
    return Page(
        items=[model.model_validate(document) async for document in cursor],
        total=await collection.count_documents(query),
        limit=paging.limit,
        offset=paging.offset,
    )
