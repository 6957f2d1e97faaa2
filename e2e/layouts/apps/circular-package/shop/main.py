from fastapi import FastAPI

from . import cart, stock

app = FastAPI()


@app.get("/cart/{name}")
def add(name: str):
    return [cart.add(name), stock.left(name)]
