"""Authors."""

from pydantic import BaseModel, Field

from models.common import Stored


class AuthorCreate(BaseModel):
    name: str = Field(min_length=1, max_length=100, examples=["Ursula K. Le Guin"])
    bio: str = Field(default="", max_length=2000)
    born: int | None = Field(default=None, ge=-3000, le=2100, examples=[1929])


class AuthorUpdate(BaseModel):
    """Fields that are left out stay as they are.

    The defaults are never stored: the service uses only what the caller sent (exclude_unset).
    """

    name: str = Field(default="", min_length=1, max_length=100)
    bio: str = Field(default="", max_length=2000)
    born: int | None = Field(default=None, ge=-3000, le=2100)


class Author(AuthorCreate, Stored):
    pass
