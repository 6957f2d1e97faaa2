"""Types that several models use."""

from typing import Annotated, Generic, TypeVar

from bson import ObjectId
from fastapi import Query
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

T = TypeVar("T")


def check_object_id(value: str) -> str:
    if not ObjectId.is_valid(value):
        raise ValueError("an id has 24 characters, each one of 0-9 and a-f")
    return value


# An id that a caller sends: text, checked.
IdIn = Annotated[str, AfterValidator(check_object_id)]

# An id that we send: MongoDB's ObjectId turned into text.
IdOut = Annotated[str, BeforeValidator(str)]


class Stored(BaseModel):
    """The base of everything read from the database, where the id is called `_id`."""

    id: Annotated[IdOut, Field(validation_alias="_id")]


class Paging(BaseModel):
    """The query parameters of every list."""

    limit: int = Field(default=20, ge=1, le=100)
    offset: int = Field(default=0, ge=0)


PagingQuery = Annotated[Paging, Query()]


class Page(BaseModel, Generic[T]):
    """One page of a list, and how many there are in all."""

    items: list[T]
    total: int
    limit: int
    offset: int
