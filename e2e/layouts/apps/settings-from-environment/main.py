import os
from dataclasses import dataclass, field

from fastapi import FastAPI

DEBUG = os.getenv("DEBUG", "false").lower() in ("1", "true")
PORT = int(os.environ.get("PORT", 8000))


@dataclass(slots=True)
class Settings:
    title: str = field(default_factory=lambda: os.environ.get("TITLE", "untitled"))
    tags: list[str] = field(default_factory=lambda: os.environ.get("TAGS", "a,b").split(","))


settings = Settings()
app = FastAPI(title=settings.title, debug=DEBUG)


@app.get("/")
def index():
    return {"title": settings.title, "tags": settings.tags, "port": PORT}
