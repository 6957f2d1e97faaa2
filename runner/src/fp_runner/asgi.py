"""The outermost ASGI app: answers the platform's readiness probe, passes all else on untouched."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

Scope = MutableMapping[str, Any]
AsgiMessage = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[AsgiMessage]]
Send = Callable[[AsgiMessage], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

READY_PATH: Final = "/_fp/ready"


class RunnerApp:
    """Wraps a user's app. `startup_error` is what its lifespan startup raised, if it did."""

    def __init__(self, app: AsgiApp) -> None:
        self._app = app
        self.startup_error: BaseException | None = None
        self.startup_message = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, WebSocket or lifespan."""
        if scope["type"] == "http" and scope["path"] == READY_PATH and scope["method"] == "GET":
            # No request arrives before lifespan startup is complete, so answering at all is the answer.
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        elif scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        failed = False

        async def watched(message: AsgiMessage) -> None:
            nonlocal failed
            if message["type"] == "lifespan.startup.failed":
                failed = True
                # Told once, with the exception, by the runner; uvicorn would log Starlette's whole traceback too.
                self.startup_message = str(message.get("message", ""))
                message = {"type": "lifespan.startup.failed"}
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except BaseException as error:
            # Without "failed" before it, an exception only says that the app knows no lifespan (ASGI spec).
            if failed:
                self.startup_error = error
            raise
