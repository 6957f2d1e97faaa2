from fastapi import FastAPI

from .catalog import Catalog

app = FastAPI()
catalog = Catalog()


@app.get("/catalog")
def read():
    return list(catalog)
