"""The front page and the health check."""

from fastapi import APIRouter

from database import DatabaseDep
from settings import get_settings

router = APIRouter(tags=["meta"])


@router.get("/")
async def index() -> dict[str, str]:
    """Where to go from here."""
    return {"shop": get_settings().shop_name, "books": "/books", "stats": "/stats", "docs": "/docs"}


@router.get("/health")
async def health(database: DatabaseDep) -> dict[str, str]:
    """Is the app up, and does the database answer? (503 if not, see errors.py.)"""
    await database.books.find_one({}, {"_id": 1})
    return {"status": "ok"}
