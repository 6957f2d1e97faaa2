from fastapi import FastAPI, Request
from fastapi.middleware.gzip import GZipMiddleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse


class Block(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next):
        if request.headers.get("x-block"):
            return PlainTextResponse("blocked", 403)
        return await call_next(request)


class Tag:
    def __init__(self, app, value):
        self.app, self.value = app, value

    async def __call__(self, scope, receive, send):
        async def tagged(message):
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-tag", self.value)]
            await send(message)

        await self.app(scope, receive, tagged)


app = FastAPI()
app.add_middleware(Block)
app.add_middleware(GZipMiddleware, minimum_size=100)
app.add_middleware(Tag, value=b"7")


@app.get("/long")
def long():
    return "x" * 1000
