from constants import *
from models import *

from fastapi import FastAPI

app = FastAPI()


@app.get("/{kind}")
def read(kind: str):
    return {"limit": LIMIT, "model": {"a": A, "b": B}.get(kind, A)().name}
