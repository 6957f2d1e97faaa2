from importlib import import_module

from fastapi import FastAPI

app = FastAPI()
for module in (import_module(".a", package=__package__), import_module(".b", "app")):
    app.include_router(module.router)
