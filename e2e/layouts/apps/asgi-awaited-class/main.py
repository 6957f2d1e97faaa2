class app:
    def __init__(self, scope, receive, send):
        self.scope, self.send = scope, send

    def __await__(self):
        return self.answer().__await__()

    async def answer(self):
        if self.scope["type"] != "http":
            return
        await self.send({"type": "http.response.start", "status": 200, "headers": []})
        await self.send({"type": "http.response.body", "body": self.scope["path"].encode()})
