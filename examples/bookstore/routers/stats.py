"""/stats"""

from typing import Annotated

from fastapi import APIRouter, Query

from models.stats import Bestseller, GenreStats, ShopStats, TopRated
from routers.dependencies import Stats

router = APIRouter(prefix="/stats", tags=["stats"])

Limit = Annotated[int, Query(ge=1, le=50)]


@router.get("")
async def shop_stats(stats: Stats) -> ShopStats:
    """The whole shop in numbers."""
    return await stats.shop()


@router.get("/genres")
async def genre_stats(stats: Stats) -> list[GenreStats]:
    return await stats.genres()


@router.get("/bestsellers")
async def bestsellers(stats: Stats, limit: Limit = 10) -> list[Bestseller]:
    """The books sold most, in orders that were paid."""
    return await stats.bestsellers(limit)


@router.get("/top-rated")
async def top_rated(stats: Stats, limit: Limit = 10) -> list[TopRated]:
    """The books with the best reviews."""
    return await stats.top_rated(limit)
