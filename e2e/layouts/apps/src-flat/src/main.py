from fastapi import FastAPI

from database import rows
from models.book import Book

app = FastAPI()


@app.get("/books", response_model=list[Book])
def books():
    return rows
