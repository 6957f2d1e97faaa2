import os
import sys

from fastapi import FastAPI

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if os.environ.get("STORE") == "file":
    from stores import file_store as store
else:
    from stores import memory_store as store

app = FastAPI()


@app.get("/")
def index():
    return {"store": store.NAME, "toml": tomllib.loads("a = 1")}
