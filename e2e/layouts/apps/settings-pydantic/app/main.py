from typing import Annotated

from fastapi import Depends, FastAPI

from .config import Settings, get_settings

app = FastAPI()


@app.get("/price")
def price(settings: Annotated[Settings, Depends(get_settings)], net: float = 10):
    return {"gross": net * settings.rate, "currency": settings.currency}
