from fastapi import FastAPI

from src import db

app = FastAPI()


@app.get("/all")
def everything():
    return db.load()
