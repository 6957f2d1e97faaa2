"""Serves a loaded app on the socket that the manager bound, with uvicorn."""

import asyncio
import importlib
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

import uvicorn

from fp_runner import channel
from fp_runner.asgi import RunnerApp

# The Date header is the only thing that ticks. uvicorn's own 0.1 s costs an idle app 0.1 % of a core.
_TICK_SECONDS: Final = 1.0
# Of the grace, kept for lifespan shutdown after the requests' time is up.
_SHUTDOWN_RESERVE_SECONDS: Final = 0.5
# Loop turns in which connections that already wait in the backlog are accepted, and their requests read.
_LAST_TURNS: Final = 8


def _web_socket(**arguments: Any) -> asyncio.Protocol:
    """The protocol of one WebSocket: imported with the first one, which most apps never see."""
    implementation = importlib.import_module("uvicorn.protocols.websockets.websockets_sansio_impl")
    protocol: asyncio.Protocol = implementation.WebSocketsSansIOProtocol(**arguments)
    return protocol


def make_config(app: RunnerApp) -> uvicorn.Config:
    """The server's settings; also used to warm it up in the zygote."""
    return uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        # uvicorn's type says class; all it does is call it.
        ws=_web_socket,  # type: ignore[arg-type]
        interface="asgi3",
        lifespan="auto",
        log_config=None,
        access_log=False,
        server_header=False,
        # The platform tells of the client in headers of its own: see fp_runner.client.
        proxy_headers=False,
        backlog=1024,
        # Longer than the platform keeps its connections, so that it never writes into one that closes.
        timeout_keep_alive=75,
    )


class AppServer(uvicorn.Server):
    """uvicorn, told to stop by a signal and a message, and with nothing lost when it does."""

    def __init__(self, config: uvicorn.Config, control: socket.socket, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._control = control
        self._on_ready = on_ready
        self._wake: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts, then says so."""
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    async def main_loop(self) -> None:
        """Waits for the end; refreshes the Date header."""
        self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        while not await self.on_tick(0):
            try:
                async with asyncio.timeout(_TICK_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Takes what is already in the backlog, then finishes."""
        await self.take_backlog(sockets or [])
        await super().shutdown(sockets)

    async def take_backlog(self, _sockets: list[socket.socket]) -> None:
        """Accepts what waits and reads its requests. The socket's file is gone, so no more comes."""
        for _ in range(_LAST_TURNS):
            await asyncio.sleep(0)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM. How much time there is stands in the message that the manager sent before it."""
        self.should_exit = True
        grace = self._read_grace()
        if grace is not None:
            # uvicorn's type says int; it is handed to asyncio.wait_for.
            self.config.timeout_graceful_shutdown = max(grace - _SHUTDOWN_RESERVE_SECONDS, grace / 2)  # type: ignore[assignment]
        if self._loop is not None and self._wake is not None:
            self._loop.call_soon_threadsafe(self._wake.set)

    def _read_grace(self) -> float | None:
        try:
            self._control.setblocking(False)
            received = channel.receive(self._control)
        except (OSError, ValueError):
            return None
        grace = received.message.get("grace_ms") if received else None
        return grace / 1000 if isinstance(grace, int | float) else None


def run(server: AppServer, loop: asyncio.AbstractEventLoop, listener: socket.socket) -> BaseException | None:
    """Serves until told to stop. Returns why startup failed, or None."""
    app: RunnerApp = server.config.app  # type: ignore[assignment]
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(server.serve(sockets=[listener]))
        finish(loop)
    except SystemExit as error:
        if not server.started:
            return app.startup_error or error
        raise
    return None


def finish(loop: asyncio.AbstractEventLoop) -> None:
    """As asyncio.run does: cancel what is left, let generators clean up."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left, timeout=1))
    loop.run_until_complete(loop.shutdown_asyncgens())


def default_signals() -> None:
    """Undoes what the zygote set for itself."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
