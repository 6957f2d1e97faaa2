from fastapi import FastAPI

from .routers import pets
from .store import STORE

app = FastAPI()
app.include_router(pets.router)


@app.get("/size")
def size():
    return len(STORE)
