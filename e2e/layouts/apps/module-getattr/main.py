import config
from config import REGION

from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def index():
    return [REGION, config.ZONE]
