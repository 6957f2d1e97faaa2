"""A small HTTP/1.1 server on the reactor, for a pod without a running app. No client can block the others."""

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from fp_runner.reactor import Reactor, Timer

_MAX_HEAD: Final = 16 * 1024
# Each connection may hold a whole body in memory.
_MAX_CONNECTIONS: Final = 32
# How long a request may take, from its connection or from the previous answer on its connection.
_REQUEST_SECONDS: Final = 10.0
# How long data from a client is discarded after the last answer. Closing at once could destroy the answer.
_LINGER_SECONDS: Final = 2.0


@dataclass(frozen=True)
class Request:
    """One complete request. Header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class _BadRequestError(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Connection:
    """One client. A request is answered once, now or later; then the next one is read."""

    def __init__(self, server: "HttpServer", sock: socket.socket, reactor: Reactor) -> None:
        sock.setblocking(False)
        self._server = server
        self._sock = sock
        self._reactor = reactor
        self._unread = bytearray()
        # The size of the current request in bytes; 0 if unknown.
        self._whole = 0
        self._unsent = b""
        self._busy = False
        self._continued = False
        self._lingers = False
        self._timer: Timer | None = None
        # The last nonce that was sent on this connection, stored here for the claim.
        self.challenge: str | None = None
        self._expect(_REQUEST_SECONDS)
        self._watch()

    @property
    def is_open(self) -> bool:
        """Whether the connection is still open."""
        return self._sock.fileno() >= 0

    @property
    def has_unsent(self) -> bool:
        """Whether a part of an answer has not been sent yet."""
        return self.is_open and bool(self._unsent)

    @property
    def is_busy(self) -> bool:
        """Whether a request waits for its answer."""
        return self._busy

    def answer(
        self,
        status: int,
        body: dict[str, Any] | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        *,
        keep: bool = False,
    ) -> None:
        """Sends an answer. Closes the connection afterwards unless `keep` is set."""
        if not self.is_open:
            return
        self._busy = self._continued = False
        self._lingers = not keep
        content = b"" if body is None else json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in headers)]
        if body is not None:
            lines.append("content-type: application/json")
        if status != HTTPStatus.NO_CONTENT:
            lines.append(f"content-length: {len(content)}")
        if not keep:
            lines.append("connection: close")
        self._unsent += ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + content
        self._write()
        if self.is_open and keep:
            self._expect(_REQUEST_SECONDS)
            self._next()

    def close(self) -> None:
        """Closes the connection. Idempotent."""
        if not self.is_open:
            return
        if self._timer:
            self._timer.cancel()
        self._reactor.unwatch(self._sock.fileno())
        self._sock.close()
        self._server.forget(self)

    def _expect(self, seconds: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self._reactor.call_later(seconds, self.close)

    def _watch(self) -> None:
        self._reactor.watch(self._sock.fileno(), self._read, self._write if self._unsent else None)

    def _write(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[self._sock.send(self._unsent, socket.MSG_NOSIGNAL) :]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        if self._lingers and not self._unsent:
            try:
                self._sock.shutdown(socket.SHUT_WR)
            except OSError:
                self.close()
                return
            self._expect(_LINGER_SECONDS)
        self._watch()

    def _read(self) -> None:
        try:
            data = self._sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
        elif not self._lingers:
            self._unread += data
            if len(self._unread) > _MAX_HEAD + self._server.max_body:
                # More than one request can have while another one is answered.
                self.close()
            elif not self._busy and len(self._unread) >= self._whole:
                self._next()

    def _next(self) -> None:
        try:
            request = self._parse()
        except _BadRequestError as error:
            self.answer(error.status, {"code": "FP_POD_BAD_REQUEST", "message": f"{error}"})
            return
        if request:
            if self._timer:
                self._timer.cancel()
            self._busy = True
            self._server.handle(request, self)

    def _parse(self) -> Request | None:
        """Returns the next request if it has arrived completely."""
        end = self._unread.find(b"\r\n\r\n", 0, _MAX_HEAD + 4)
        if end < 0 and len(self._unread) >= _MAX_HEAD + 4:
            raise _BadRequestError(431, f"The head of a request has at most {_MAX_HEAD} bytes.")
        if end < 0:
            return None
        method, path, headers = _parse_head(bytes(self._unread[:end]))
        if "transfer-encoding" in headers:
            raise _BadRequestError(411, "Send the body with a content-length.")
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            raise _BadRequestError(400, "The content-length must be a number.")
        if int(length[:20]) > self._server.max_body:
            raise _BadRequestError(413, f"The body of a request has at most {self._server.max_body} bytes.")
        begin = end + 4
        self._whole = begin + int(length)
        if len(self._unread) < self._whole:
            if headers.get("expect", "").lower() == "100-continue" and not self._continued:
                self._continued = True
                self._unsent += b"HTTP/1.1 100 Continue\r\n\r\n"
                self._write()
            return None
        body = bytes(self._unread[begin : self._whole])
        del self._unread[: self._whole]
        self._whole = 0
        return Request(method, path, headers, body)


def _parse_head(head: bytes) -> tuple[str, str, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise _BadRequestError(400, "Send the request in HTTP/1.1.")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        key = name.lower()
        if not colon or not name or name != name.strip():
            raise _BadRequestError(400, "Each header needs a name without spaces.")
        if key == "content-length" and key in headers:
            raise _BadRequestError(400, "Send one content-length, not several.")
        headers[key] = value.strip()
    return parts[0], parts[1].partition("?")[0], headers


class HttpServer:
    """Accepts connections while it is open. Calls `handle` for each request and `closed` when a connection ends."""

    def __init__(
        self,
        reactor: Reactor,
        listener: socket.socket,
        max_body: int,
        handle: Callable[[Request, Connection], None],
        closed: Callable[[Connection], None] = lambda connection: None,
    ) -> None:
        self.max_body = max_body
        self.handle = handle
        self._closed = closed
        self._reactor = reactor
        self._listener = listener
        self._connections: dict[Connection, None] = {}

    def open(self) -> None:
        """Starts to accept connections."""
        self._reactor.watch(self._listener.fileno(), self._accept)

    def pause(self) -> None:
        """Leaves new connections in the backlog. Existing connections are still served."""
        self._reactor.unwatch(self._listener.fileno())

    def forget(self, connection: Connection) -> None:
        """Called by a connection when it is closed."""
        self._connections.pop(connection, None)
        self._closed(connection)

    def has_unsent(self) -> bool:
        """Whether an answer has not been sent completely."""
        return any(connection.has_unsent for connection in self._connections)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        if len(self._connections) >= _MAX_CONNECTIONS:
            # Closes the oldest connection, except those that wait for their answer.
            oldest = next((held for held in self._connections if not held.is_busy), None)
            if oldest is None:
                sock.close()
                return
            oldest.close()
        self._connections[Connection(self, sock, self._reactor)] = None
