"""One connection of an app, and what it is connected to: bytes go both ways, no more is kept than one read."""

import select
import socket
from collections.abc import Callable
from typing import Final

from fp_runner.relay.refusal import HEADER, refuse

CHUNK: Final = 64 * 1024

# One buffer for all: what is read is written on before anything else is read.
_buffer = bytearray(CHUNK)
_view = memoryview(_buffer)


class End:
    """One of the two ends."""

    __slots__ = ("fd", "other", "pending", "socket", "wire")

    other: "End"
    wire: "Wire"

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.fd = connection.fileno()
        # Read from the other end and not taken by this one yet.
        self.pending = b""


class Wire:
    """Both ends. Closed as a whole: MongoDB's protocol knows no half-closed connections."""

    def __init__(self, app: socket.socket, mongodb: socket.socket, watch: Callable[[int, int], None]) -> None:
        """`watch` is told which events of which descriptor are waited for."""
        self.ends = (End(app), End(mongodb))
        self._watch = watch
        for end, other in (self.ends, self.ends[::-1]):
            end.other, end.wire = other, self

    def handle(self, end: End, events: int) -> bool:
        """Does what an end is ready for. False: the connection is over."""
        if events & select.EPOLLOUT and not self._flush(end):
            return False
        if events & select.EPOLLIN and not end.other.pending:
            return self._pass_on(end)
        return not events & (select.EPOLLHUP | select.EPOLLERR)

    def _pass_on(self, end: End) -> bool:
        try:
            count = end.socket.recv_into(_buffer)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if count == 0:
            return False
        other = end.other
        try:
            sent = other.socket.send(_view[:count])
        except BlockingIOError:
            sent = 0
        except OSError:
            return False
        if sent < count:
            other.pending = bytes(_view[sent:count])
            self._watch_both()
        return True

    def _flush(self, end: End) -> bool:
        try:
            sent = end.socket.send(end.pending)
        except BlockingIOError:
            return True
        except OSError:
            return False
        end.pending = end.pending[sent:]
        if not end.pending:
            self._watch_both()
        return True

    def _watch_both(self) -> None:
        """An end is read from only once the other one has taken what was read before."""
        for end in self.ends:
            self._watch(end.fd, (0 if end.other.pending else select.EPOLLIN) | (select.EPOLLOUT if end.pending else 0))

    def close(self) -> None:
        """Both ends."""
        for end in self.ends:
            end.socket.close()


class Refused:
    """A connection too many: its first message is answered with the reason, then it is closed."""

    def __init__(self, connection: socket.socket, reason: str) -> None:
        self.socket = connection
        self._reason = reason

    def handle(self) -> bool:
        """False: it has its answer, or has gone."""
        try:
            request = self.socket.recv(CHUNK)
            if len(request) >= HEADER.size:
                self.socket.send(refuse(request, self._reason))
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def close(self) -> None:
        """Its one end."""
        self.socket.close()
