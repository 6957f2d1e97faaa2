from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI

import orders

if TYPE_CHECKING:
    import pandas as pd

app = FastAPI()


@app.get("/orders")
def read() -> list[dict]:
    return orders.all_orders()


def table(frame: pd.DataFrame) -> str:
    return frame.to_html()
