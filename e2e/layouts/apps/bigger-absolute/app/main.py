from fastapi import FastAPI

import app.core.config as config
from app import VERSION
from app.api.v1.router import api_router
from app.core.config import settings

app = FastAPI(title=settings.name, version=VERSION)
app.include_router(api_router, prefix=config.PREFIX)
