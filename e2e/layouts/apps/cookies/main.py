from typing import Annotated

from fastapi import Cookie, FastAPI, Request, Response
from starlette.middleware.sessions import SessionMiddleware

app = FastAPI()
app.add_middleware(SessionMiddleware, secret_key="s3cret")


@app.get("/set")
def set_cookie(response: Response):
    response.set_cookie("theme", "dark", httponly=True, samesite="strict")
    response.set_cookie("lang", "de", max_age=60)
    return "set"


@app.get("/get")
def get_cookie(theme: Annotated[str | None, Cookie()] = None):
    return theme


@app.get("/session")
def session(request: Request):
    return dict(request.session)
