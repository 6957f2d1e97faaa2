from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from uuid import UUID

from fastapi import FastAPI, Path

app = FastAPI()


class Colour(Enum):
    red = "red"
    blue = "blue"


@app.get("/file/{name:path}")
def file(name: str):
    return name


@app.get("/colour/{colour}")
def colour(colour: Colour):
    return colour


@app.get("/id/{value}")
def uuid(value: UUID):
    return value.version


@app.get("/add/{n}")
def add(at: datetime, cost: Decimal, n: int = Path(gt=0)):
    return {"at": at + timedelta(days=n), "cost": cost * n}
