from fastapi import FastAPI
from pydantic import BaseModel

api = FastAPI()


class Point(BaseModel):
    x: float
    y: float = 0


@api.post("/length")
async def length(point: Point) -> float:
    return round((point.x**2 + point.y**2) ** 0.5, 3)
