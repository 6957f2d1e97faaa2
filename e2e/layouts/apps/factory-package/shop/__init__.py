from fastapi import FastAPI

from .config import Config
from .views import router


def create_app(config: Config | None = None) -> FastAPI:
    app = FastAPI()
    app.state.config = config or Config()
    app.include_router(router)
    return app
