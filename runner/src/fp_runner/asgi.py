"""The outermost ASGI app. It answers the platform's own requests and passes all others to the app as the client sent
them."""

import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from fp_runner import client

Scope = MutableMapping[str, Any]
AsgiMessage = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[AsgiMessage]]
Send = Callable[[AsgiMessage], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_OURS: Final = "/_fp/"
READY_PATH: Final = "/_fp/ready"


@dataclass(frozen=True)
class Answer:
    """An answer of the runner itself."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()


# By method and path. No request arrives before lifespan startup is complete, so any answer shows that the app is ready.
Answers = Mapping[tuple[str, str], Answer]
READY: Final[Answers] = {("GET", READY_PATH): Answer(204)}


def server_timing(at: Mapping[str, float]) -> str:
    """The value of the header Server-Timing: when each phase was reached, in ms."""
    return ", ".join(f"{name};dur={ms:.1f}" for name, ms in at.items())


class RunnerApp:
    """Wraps a user's app. `startup_error` is the exception of its lifespan startup, if any."""

    def __init__(self, app: AsgiApp, answers: Answers = READY) -> None:
        self._app = app
        self._answers = answers
        self.startup_error: BaseException | None = None
        self.startup_message = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request, WebSocket or lifespan."""
        answer = None
        if scope["type"] == "http" and scope["path"].startswith(_OURS):
            answer = self._answers.get((scope["method"], scope["path"]))
        if answer:
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
            await send({"type": "http.response.body", "body": answer.body})
        elif scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        else:
            client.restore(scope)
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Starlette answers 500 and raises the exception again. uvicorn would then close the connection, although the
        next request may have arrived on it. If the answer is complete, the exception is therefore only logged."""
        complete = False

        async def watched(message: AsgiMessage) -> None:
            nonlocal complete
            await send(message)
            complete = message["type"] == "http.response.body" and not message.get("more_body", False)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if not complete:
                raise
            logging.getLogger("uvicorn.error").error("Exception in ASGI application\n", exc_info=error)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        failed = False

        async def watched(message: AsgiMessage) -> None:
            nonlocal failed
            if message["type"] == "lifespan.startup.failed":
                failed = True
                # The runner reports it once, with the exception. uvicorn would also log Starlette's traceback.
                self.startup_message = str(message.get("message", ""))
                message = {"type": "lifespan.startup.failed"}
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except BaseException as error:
            # An exception without a "failed" before it means that the app does not support lifespan (ASGI spec).
            if failed:
                self.startup_error = error
            raise
