"""Bookstore: how to lay out an app that has outgrown one file.

- models/    what data looks like (pydantic)
- services/  what the shop does with it (MongoDB); knows nothing about HTTP
- routers/   which URL does what; knows nothing about MongoDB
- errors.py  what can go wrong, and how it is told to the caller

A request goes router → service → database. Nothing ever calls the other way.
"""

from fastapi import FastAPI

from database import lifespan
from errors import add_error_handlers
from routers import authors, books, meta, orders, reviews, stats
from settings import get_settings

app = FastAPI(
    title=get_settings().shop_name,
    description="A small bookshop: authors, books, reviews, orders and statistics.",
    version="1.0.0",
    lifespan=lifespan,
)
add_error_handlers(app)

for module in (meta, authors, books, reviews, orders, stats):
    app.include_router(module.router)
