"""Tells what it was given, and answers as it is told: the same file runs under uvicorn alone and as an app of fp."""

import hashlib
import json


def told(scope):
    """The scope as JSON: bytes in hexadecimal digits."""
    names = ("type", "http_version", "method", "scheme", "path", "root_path", "client", "server", "subprotocols")
    shown = {name: scope.get(name) for name in names}
    shown["raw_path"] = scope["raw_path"].hex()
    shown["query_string"] = scope["query_string"].hex()
    shown["headers"] = [[name.hex(), value.hex()] for name, value in scope["headers"]]
    return shown


async def read(receive):
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def answer(send, status, headers, chunks):
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for chunk in chunks[:-1]:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": chunks[-1] if chunks else b""})


async def http(scope, receive, send):
    path = scope["path"]
    if path == "/unread":
        # Decides by the head only.
        await answer(send, 401, [(b"content-length", b"2")], [b"no"])
    elif path == "/answer":
        told_to = json.loads(await read(receive))
        headers = [(bytes.fromhex(name), bytes.fromhex(value)) for name, value in told_to["headers"]]
        await answer(send, told_to["status"], headers, [bytes.fromhex(chunk) for chunk in told_to["chunks"]])
    elif path == "/raise":
        raise RuntimeError("as it was asked to")
    else:
        body = await read(receive)
        shown = told(scope) | {"length": len(body), "sha256": hashlib.sha256(body).hexdigest()}
        text = json.dumps(shown).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(text)).encode())]
        await answer(send, 200, headers, [text])


async def websocket(scope, receive, send):
    await receive()
    if scope["path"] == "/refuse":
        await send({"type": "websocket.close"})
        return
    if scope["path"] == "/refuse-with-answer":
        start = {"type": "websocket.http.response.start", "status": 418, "headers": [(b"x-why", b"\xfc")]}
        await send(start)
        await send({"type": "websocket.http.response.body", "body": b"no tea"})
        return
    chosen = scope["subprotocols"][0] if scope["subprotocols"] else None
    headers = [(b"x-twice", b"1"), (b"x-twice", b"2"), (b"x-latin", b"\xfc")]
    await send({"type": "websocket.accept", "subprotocol": chosen, "headers": headers})
    await send({"type": "websocket.send", "text": json.dumps(told(scope))})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        if message.get("text") == "close":
            await send({"type": "websocket.close", "code": 4321, "reason": "as it was asked to"})
            return
        await send({"type": "websocket.send", "text": message["text"]})


async def app(scope, receive, send):
    if scope["type"] == "http":
        await http(scope, receive, send)
    elif scope["type"] == "websocket":
        await websocket(scope, receive, send)
    else:
        # Lifespan.
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
