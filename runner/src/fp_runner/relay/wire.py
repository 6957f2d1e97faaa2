"""One connection of an app, and what it is connected to: bytes go both ways, no more is kept than one read. What the
app sends is looked at before it is passed on."""

import select
import socket
from typing import Final

from fp_runner.relay.bounds import Bounds
from fp_runner.relay.messages import Messages, RefusalError
from fp_runner.relay.refusal import HEADER, refuse

CHUNK: Final = 64 * 1024

# One buffer for all: what is read is written on before anything else is read.
_buffer = bytearray(CHUNK)
_view = memoryview(_buffer)


class End:
    """One of the two ends."""

    __slots__ = ("fd", "gone", "other", "pending", "socket", "wire")

    other: "End"
    wire: "Wire"

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.fd = connection.fileno()
        # Read from the other end and not taken by this one yet.
        self.pending = b""
        # It reads and writes no more, but what it has written is still to be passed on.
        self.gone = False


class Wire:
    """Both ends. Closed as a whole: MongoDB's protocol knows no half-closed connections."""

    def __init__(self, app: socket.socket, mongodb: socket.socket, bounds: Bounds, epoll: select.epoll) -> None:
        """Both are watched by `epoll` from now on."""
        self.ends = (End(app), End(mongodb))
        self._bounds = bounds
        self._messages = Messages(bounds)
        self._epoll = epoll
        for end, other in (self.ends, self.ends[::-1]):
            end.other, end.wire = other, self
            epoll.register(end.fd, select.EPOLLIN)

    def handle(self, end: End, events: int) -> bool:
        """Does what an end is ready for. False: the connection is over."""
        if events & select.EPOLLOUT:
            self._flush(end)
        if events & select.EPOLLIN and not end.other.pending:
            return self._pass_on(end)
        if not events & (select.EPOLLHUP | select.EPOLLERR):
            return True
        if end.other.gone or not end.other.pending:
            return False
        # Unwatched, since epoll would tell of it again and again. Watched again once the other end has taken what is
        # pending; then the rest is read, to its end.
        end.gone, end.pending = True, b""
        self._epoll.unregister(end.fd)
        self._watch(end.other)
        return True

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
        if end is self.ends[0]:
            try:
                self._messages.read(_buffer, count)
            except RefusalError as refusal:
                self._refuse(end, refusal)
                return False
        try:
            # An end that is gone needs no data.
            sent = count if other.gone else other.socket.send(_view[:count])
        except BlockingIOError:
            sent = 0
        except OSError:
            # The other end is gone, which is told next: what it has written must be passed on first.
            return True
        if sent < count:
            other.pending = bytes(_view[sent:count])
            self._watch_both()
        return True

    def _refuse(self, app: End, refusal: RefusalError) -> None:
        self._bounds.refusals[refusal.reason] += 1
        # The app would not understand it within another answer.
        if not app.pending:
            try:
                app.socket.send(refuse(refusal.request_id, refusal.op_code, refusal.reason))
            except OSError:
                pass

    def _flush(self, end: End) -> None:
        try:
            sent = end.socket.send(end.pending)
        except BlockingIOError:
            return
        except OSError:
            # It is gone, as its other events say.
            sent = len(end.pending)
        end.pending = end.pending[sent:]
        if not end.pending:
            if end.other.gone:
                end.other.gone = False
                self._epoll.register(end.other.fd, select.EPOLLIN)
            self._watch_both()

    def _watch_both(self) -> None:
        for end in self.ends:
            self._watch(end)

    def _watch(self, end: End) -> None:
        """An end is read from only once the other one has taken what was read before."""
        if not end.gone:
            reads = 0 if end.other.pending else select.EPOLLIN
            self._epoll.modify(end.fd, reads | (select.EPOLLOUT if end.pending else 0))

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
                _length, request_id, _response_to, op_code = HEADER.unpack_from(request)
                self.socket.send(refuse(request_id, op_code, self._reason))
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def close(self) -> None:
        """Its one end."""
        self.socket.close()
