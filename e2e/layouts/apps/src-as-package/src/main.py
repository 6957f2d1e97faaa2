from fastapi import FastAPI

from src.auth.service import greet

app = FastAPI()


@app.get("/greet/{name}")
async def read(name: str):
    return greet(name)
