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

# Only the Date header needs a tick. uvicorn's own interval of 0.1 s costs an idle app 0.1 % of a core.
_TICK_SECONDS: Final = 1.0
# The part of the grace period that is reserved for lifespan shutdown.
_SHUTDOWN_RESERVE_SECONDS: Final = 0.5
# Loop iterations in which connections from the backlog are accepted and their requests read.
_LAST_TURNS: Final = 8


def _web_socket(**arguments: Any) -> asyncio.Protocol:
    """The protocol of one WebSocket. Imported with the first one, because most apps have none."""
    implementation = importlib.import_module("uvicorn.protocols.websockets.websockets_sansio_impl")
    protocol: asyncio.Protocol = implementation.WebSocketsSansIOProtocol(**arguments)
    return protocol


def make_config(app: RunnerApp) -> uvicorn.Config:
    """The server's settings. The zygote also uses them to warm up the server."""
    return uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        # uvicorn's type requires a class, but uvicorn only calls it.
        ws=_web_socket,  # type: ignore[arg-type]
        interface="asgi3",
        lifespan="auto",
        log_config=None,
        access_log=False,
        server_header=False,
        # The platform sends the client's address in headers of its own: see fp_runner.client.
        proxy_headers=False,
        backlog=1024,
        # Longer than the platform keeps its connections, so that the platform never writes to a connection that is
        # closing.
        timeout_keep_alive=75,
    )


class AppServer(uvicorn.Server):
    """uvicorn that stops on a signal with a grace period, and loses no request when it stops."""

    def __init__(self, config: uvicorn.Config, control: socket.socket, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._control = control
        self._on_ready = on_ready
        self._wake: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts and calls `on_ready`."""
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    async def main_loop(self) -> None:
        """Waits for the end and refreshes the Date header."""
        self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        while not await self.on_tick(0):
            try:
                async with asyncio.timeout(_TICK_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accepts what is already in the backlog, then shuts down."""
        await self.take_backlog(sockets or [])
        await super().shutdown(sockets)

    async def take_backlog(self, _sockets: list[socket.socket]) -> None:
        """Accepts waiting connections and reads their requests. The socket's file is removed, so no new ones arrive."""
        for _ in range(_LAST_TURNS):
            await asyncio.sleep(0)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handles SIGTERM. The manager has sent the grace period in a message before the signal."""
        self.should_exit = True
        grace = self._read_grace()
        if grace is not None:
            # uvicorn's type is int, but the value is only passed to asyncio.wait_for.
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
    """Serves until it is stopped. Returns the reason if startup has failed."""
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
    """Cancels the remaining tasks and shuts down generators, as asyncio.run does."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left, timeout=1))
    loop.run_until_complete(loop.shutdown_asyncgens())


def default_signals() -> None:
    """Resets the zygote's signal handlers."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
