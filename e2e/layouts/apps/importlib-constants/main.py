import importlib
from importlib import import_module, metadata, resources

from fastapi import FastAPI

app = FastAPI()
json = importlib.import_module("json")
plugin = import_module("plugins.hello")
app.include_router(plugin.router)


@app.get("/json")
def dump():
    return json.dumps({"a": [1, None]})


@app.get("/text")
def text():
    return resources.files("plugins").joinpath("note.txt").read_text().strip()


@app.get("/known")
def known():
    return metadata.version("fastapi").count(".") >= 1
