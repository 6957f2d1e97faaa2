"""Reviews."""

from datetime import datetime

from pydantic import BaseModel, Field

from models.common import IdOut, Stored


class ReviewCreate(BaseModel):
    reader: str = Field(min_length=1, max_length=60, examples=["Ada"])
    stars: int = Field(ge=1, le=5)
    text: str = Field(default="", max_length=2000)


class Review(ReviewCreate, Stored):
    book_id: IdOut
    created_at: datetime
