"""The relay's event loop: gives each app its turn and decides which connections are accepted."""

import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from fp_runner.relay.accept import accept
from fp_runner.relay.app import App
from fp_runner.relay.upstream import RETRY_SECONDS, Attempt

# How often refusals are reported, in seconds, so that a flood of refusals is one log line each time.
_REPORT_EVERY: Final = 5

Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Limits:
    """The most connections of one app and of all apps."""

    per_app: int
    total: int


class Relay:
    """Serves apps that have a socket of their own, and apps that connect to the shared port."""

    def __init__(self, upstream: str, limits: Limits, report: Report) -> None:
        """`upstream` is MongoDB's unix socket, or an `address:port` on this machine."""
        self._upstream, self._limits, self._report = upstream, limits, report
        self._apps: dict[str, App] = {}
        self._by_epoll: dict[int, App] = {}
        self._epoll = select.epoll()
        # Apps with something to retry.
        self._waiting: set[App] = set()
        self._port: socket.socket | None = None
        # Whether the port is paused because there was no free descriptor.
        self._paused = False

    def listen(self, port: socket.socket) -> None:
        """Accepts connections at a nonblocking TCP port. Each address counts as one app, because a pod has its own
        address."""
        self._port = port
        self._epoll.register(port, select.EPOLLIN)

    def open(self, name: str, path: str) -> None:
        """Listens for an app. Raises OSError if that is not possible."""
        if name in self._apps:
            return
        self._add(App(name, path, self._admit))

    def _add(self, app: App) -> App:
        self._apps[app.name] = self._by_epoll[app.epoll.fileno()] = app
        self._epoll.register(app.epoll, select.EPOLLIN)
        return app

    def close(self, name: str) -> None:
        """Closes everything that an app has. Idempotent."""
        app = self._apps.pop(name, None)
        if app is not None:
            self._report_refusals(app)
            del self._by_epoll[app.epoll.fileno()]
            self._waiting.discard(app)
            app.close()

    def run(self, control: int, on_control: Callable[[], bool]) -> None:
        """Runs until `on_control` returns False. It is called whenever the descriptor `control` is readable."""
        self._epoll.register(control, select.EPOLLIN)
        due = time.monotonic() + _REPORT_EVERY
        while True:
            for fd, _events in self._epoll.poll(RETRY_SECONDS if self._waiting or self._paused else _REPORT_EVERY):
                app = self._by_epoll.get(fd)
                if app is not None:
                    self.turn(app)
                elif self._port and fd == self._port.fileno():
                    self._accept(self._port)
                elif fd == control and not on_control():
                    return
            self.retry()
            if time.monotonic() >= due:
                due = time.monotonic() + _REPORT_EVERY
                for app in [*self._apps.values()]:
                    if app.is_idle and app.bounds.is_over:
                        self.close(app.name)
                    else:
                        self._report_refusals(app)

    def turn(self, app: App) -> None:
        """Handles the pending events of one app."""
        app.turn()
        if app.is_waiting:
            self._waiting.add(app)

    def retry(self) -> None:
        """Tries again what was not possible before."""
        if self._paused and self._port:
            self._paused = False
            self._epoll.register(self._port, select.EPOLLIN)
        for app in [*self._waiting]:
            app.retry()
            if not app.is_waiting:
                self._waiting.discard(app)

    def close_all(self) -> None:
        """Closes all apps and removes their sockets."""
        for name in [*self._apps]:
            self.close(name)

    def _report_refusals(self, app: App) -> None:
        if app.refusals:
            self._report({"event": "refused", "app": app.name, "count": app.refusals, "open": len(app)})
            app.refusals = 0
        for reason, count in app.bounds.refusals.items():
            self._report({"event": "forbidden", "app": app.name, "count": count, "reason": reason})
        app.bounds.refusals.clear()

    def _accept(self, port: socket.socket) -> None:
        try:
            accepted = accept(port)
        except OSError:
            self._paused = True
            self._epoll.unregister(port)
            return
        if accepted is None:
            return
        connection, address = accepted
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            name = address.removeprefix("::ffff:")
            app = self._apps.get(name) or self._add(App(name, None, self._admit))
        except OSError:
            connection.close()
            return
        self._admit(app, connection)
        if app.is_waiting:
            self._waiting.add(app)

    def _admit(self, app: App, connection: socket.socket) -> None:
        reason = self._why_not(app)
        if reason is not None:
            app.refuse(connection, reason)
            return
        try:
            app.connect(connection, Attempt(self._upstream))
        except OSError:
            # There is no free descriptor. For a driver this is a server that restarts, so the driver connects again.
            connection.close()

    def _why_not(self, app: App) -> str | None:
        """The reason why an app gets no further connection. If all are in use, the app with the most loses one."""
        if len(app) >= self._limits.per_app:
            return (
                f"This app has {len(app)} connections to its database open, which is the most it may have. "
                "Make one MongoClient for the whole app, not one a request, and lower its maxPoolSize; "
                "the administrator can raise FP_DATABASE_CONNECTIONS."
            )
        if sum(map(len, self._apps.values())) < self._limits.total:
            return None
        largest = max(self._apps.values(), key=len)
        if len(largest) <= len(app) + 1:
            return f"All {self._limits.total} connections that apps may have to MongoDB are taken. Try again later."
        largest.close_oldest()
        return None
