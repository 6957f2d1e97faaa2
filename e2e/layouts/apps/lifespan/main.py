from contextlib import asynccontextmanager

from fastapi import FastAPI, Request


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.ready = True
    yield {"model": {"weights": [1, 2]}}
    app.state.ready = False


app = FastAPI(lifespan=lifespan)


@app.get("/")
def index(request: Request):
    return {"ready": request.app.state.ready, "model": request.state.model}
