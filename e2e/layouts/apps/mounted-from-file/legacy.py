async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 410, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"gone"})
