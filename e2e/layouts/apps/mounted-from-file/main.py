from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

import api
from legacy import app as old

app = FastAPI()
app.mount("/api", api.app)
app.mount("/old", old)


@app.get("/", response_class=PlainTextResponse)
def home():
    return "front"
