class Application:
    def __init__(self, routes):
        self.routes = routes

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        status, text = self.routes.get(scope["path"], (404, "no"))
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"x-made", b"by hand"), (b"x-made", b"twice")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": text.encode()})


application = Application({"/": (200, "ü"), "/busy": (503, "busy")})
