"""The manager's side of the connection to the platform (fd 3)."""

import os
import socket
from collections.abc import Callable
from typing import Final

from fp_runner.protocol import LineReader, Message, ProtocolError, encode
from fp_runner.reactor import Reactor

# If more than this is unread, the platform is considered dead.
_MAX_UNREAD: Final = 16 * 1024 * 1024


class PlatformConnection:
    """Reads requests and writes events without blocking. `on_end` is called once, when the platform has
    disconnected."""

    def __init__(
        self,
        sock: socket.socket,
        reactor: Reactor,
        on_message: Callable[[Message], None],
        on_end: Callable[[], None],
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._reactor = reactor
        self._on_message = on_message
        self._on_end = on_end
        self._lines = LineReader()
        self._unsent = b""
        self._open = True
        reactor.watch(sock.fileno(), self._read)

    def send(self, message: Message) -> None:
        """Sends one event now, or as soon as the socket has room."""
        if not self._open:
            return
        self._unsent += encode(message)
        self._write()

    def _write(self) -> None:
        try:
            while self._unsent:
                sent = self._sock.send(self._unsent, socket.MSG_NOSIGNAL)
                self._unsent = self._unsent[sent:]
        except BlockingIOError:
            if len(self._unsent) > _MAX_UNREAD:
                self._end()
                return
            self._reactor.watch(self._sock.fileno(), self._read, self._write)
        except OSError:
            self._end()
        else:
            self._reactor.watch(self._sock.fileno(), self._read)

    def _read(self) -> None:
        try:
            data = self._sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            # ECONNRESET: the platform closed the connection with unread events. This is handled like its normal end.
            data = b""
        if not data:
            self._end()
            return
        for message in self._lines.feed(data):
            if isinstance(message, ProtocolError):
                os.write(2, f"fp_runner: bad message: {message}\n".encode())
            else:
                self._on_message(message)

    def _end(self) -> None:
        if self._open:
            self._open = False
            self._reactor.unwatch(self._sock.fileno())
            self._on_end()
