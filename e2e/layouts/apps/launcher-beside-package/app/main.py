from fastapi import FastAPI

from app.words import WORDS

app = FastAPI()


@app.get("/words")
def words():
    return WORDS
