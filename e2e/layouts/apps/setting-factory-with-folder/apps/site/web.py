from fastapi import FastAPI

import pages


def make():
    app = FastAPI()
    app.include_router(pages.router)
    return app
