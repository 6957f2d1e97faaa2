from fastapi import FastAPI

from bakery import __doc__ as about
from bakery.prices import PRICES

app = FastAPI(description=about or "")


@app.get("/prices/{name}")
def price(name: str):
    return PRICES.get(name, 0)
