from contextlib import suppress

from fastapi import FastAPI

try:
    import numpy as np
except ImportError:
    np = None
try:
    import ujson as json
except ModuleNotFoundError:
    import json
with suppress(ImportError):
    import sentry_sdk  # noqa: F401
try:
    from .local import NAME
except ImportError:
    from local import NAME

app = FastAPI()


@app.get("/")
def index():
    return {"numpy": np is not None, "json": json.__name__, "name": NAME}
