from fastapi import FastAPI

inner = FastAPI()


@inner.get("/inner")
def read():
    return "inner"


class Prefix:
    def __init__(self, app, prefix):
        self.app, self.prefix = app, prefix

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http" and scope["path"].startswith(self.prefix):
            scope = {**scope, "path": scope["path"].removeprefix(self.prefix)}
        await self.app(scope, receive, send)


app = Prefix(inner, "/v1")
