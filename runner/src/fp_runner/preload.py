"""Imports what user apps import and runs a dummy app once, so that forks start fast.

It never runs user code. It leaves no thread, event loop or connection open, because a fork cannot use those.
"""

import asyncio
import gc
import importlib
import os
import socket
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Final

import uvloop

from fp_runner import heap, log, serve, session_key
from fp_runner.asgi import RunnerApp

_MODULES: Final = (
    "fastapi",
    "fastapi.middleware.cors",
    "fastapi.responses",
    "fastapi.staticfiles",
    "fastapi.templating",
    "starlette.applications",
    "starlette.middleware.sessions",
    "starlette.websockets",
    "pydantic",
    "pydantic_settings",
    "email_validator",
    "fasthtml.common",
    "monsterui.all",
    "jinja2",
    "pymongo",
    "bson",
    "httpx",
    "orjson",
    "multipart",
    "python_multipart",
    "itsdangerous",
    "websockets",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.websockets.websockets_sansio_impl",
    "uvicorn.middleware.proxy_headers",
    "concurrent.futures.thread",
    "anyio._backends._asyncio",
    "anyio.to_thread",
    "asyncio",
    "csv",
    "dataclasses",
    "datetime",
    "decimal",
    "email.message",
    "encodings.idna",
    "hashlib",
    "json",
    "logging.config",
    "logging.handlers",
    "multiprocessing",
    "pathlib",
    "secrets",
    "sqlite3",
    "stringprep",
    "subprocess",
    "tempfile",
    "unicodedata",
    "uuid",
    "zoneinfo",
)


def preload() -> None:
    """Imports and warms up. The garbage collector stays off until an app has been imported."""
    gc.disable()
    for name in _MODULES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            os.write(2, f"fp_runner: not preloaded: {error}\n".encode())
    session_key.install()
    log.prepare_logging()
    _warm_up()
    threads = threading.enumerate()
    if len(threads) != 1:
        raise RuntimeError(f"preloading left threads: {threads}")


def touch(loop: asyncio.AbstractEventLoop) -> None:
    """Called in a spare. Runs a minimal app, so that the pages that every app writes to are copied before the wake. The
    pages that only some apps write to stay shared."""
    loop.run_until_complete(_ask(_minimal_app(), "GET", "/"))
    heap.map_code()


def _minimal_app() -> Any:
    app = importlib.import_module("fastapi").FastAPI()

    async def read() -> Any:
        return {"ok": True}

    app.get("/")(read)
    return app


def _dummy_app() -> Any:
    fastapi = importlib.import_module("fastapi")
    pydantic = importlib.import_module("pydantic")
    app = fastapi.FastAPI()
    model = pydantic.create_model("Item", name=(str, ...), count=(int, 0))

    async def read(name: str, count: int = 1) -> Any:
        return {"name": name, "count": count}

    async def write(item: Any) -> Any:
        return item

    write.__annotations__ = {"item": model, "return": model}
    app.get("/items/{name}")(read)
    app.post("/items")(write)
    return app


async def _ask(app: Callable[..., Awaitable[None]], method: str, path: str, body: bytes = b"") -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(_message: Any) -> None:
        return

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await app(scope, receive, send)


class _WarmServer(serve.AppServer):
    """Stops after one request over a real connection."""

    address: bytes = b""

    async def main_loop(self) -> None:
        # uvloop cannot connect to an abstract address. This connect does not block, because the listener has a backlog.
        client = socket.socket(socket.AF_UNIX)
        client.connect(self.address)
        reader, writer = await asyncio.open_unix_connection(sock=client)
        writer.write(b"GET /items/x HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        await reader.read()
        writer.close()
        await writer.wait_closed()

    def capture_signals(self) -> Any:  # The zygote's own handling stays.
        contextlib = importlib.import_module("contextlib")
        return contextlib.nullcontext()


def _warm_up() -> None:
    """Lets a FastAPI app answer two requests, one of them through the whole server."""
    app = _dummy_app()
    loop = uvloop.new_event_loop()
    ours, theirs = socket.socketpair()
    try:
        loop.run_until_complete(_ask(app, "POST", "/items", b'{"name":"x"}'))
        with socket.socket(socket.AF_UNIX) as listener:
            # The kernel chooses an abstract address, so no file remains if this process is killed.
            listener.bind("")
            server = _WarmServer(serve.make_config(RunnerApp(app)), ours, lambda: None)
            server.address = listener.getsockname()
            loop.run_until_complete(server.serve(sockets=[listener]))
            serve.finish(loop)
    finally:
        loop.close()
        ours.close()
        theirs.close()
