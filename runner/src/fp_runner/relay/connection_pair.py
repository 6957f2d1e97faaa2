"""One connection of an app together with its connection to MongoDB. Bytes are copied in both directions, and at most
one read is buffered. What the app sends is checked before it is forwarded."""

import select
import socket
from typing import Final

from fp_runner.relay.bounds import Bounds
from fp_runner.relay.messages import Messages, RefusalError
from fp_runner.relay.refusal import HEADER, refuse

CHUNK: Final = 64 * 1024

# One buffer for all connections: what is read is written before the next read.
_buffer = bytearray(CHUNK)
_view = memoryview(_buffer)


class End:
    """One of the two sockets."""

    __slots__ = ("fd", "gone", "other", "pair", "pending", "socket")

    other: "End"
    pair: "ConnectionPair"

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.fd = connection.fileno()
        # Data that was read from the other end and that this end has not accepted yet.
        self.pending = b""
        # The peer has closed this end, but the data that it had sent before is still to be forwarded.
        self.gone = False


class ConnectionPair:
    """Both ends. They are closed together, because MongoDB's protocol has no half-closed connections."""

    def __init__(self, app: socket.socket, mongodb: socket.socket, bounds: Bounds, epoll: select.epoll) -> None:
        """Registers both ends in `epoll`."""
        self.ends = (End(app), End(mongodb))
        self._bounds = bounds
        self._messages = Messages(bounds)
        self._epoll = epoll
        for end, other in (self.ends, self.ends[::-1]):
            end.other, end.pair = other, self
            epoll.register(end.fd, select.EPOLLIN)

    def handle(self, end: End, events: int) -> bool:
        """Handles the events of an end. Returns False if the connection is over."""
        if events & select.EPOLLOUT:
            self._flush(end)
        if events & select.EPOLLIN and not end.other.pending:
            return self._pass_on(end)
        if not events & (select.EPOLLHUP | select.EPOLLERR):
            return True
        if end.other.gone or not end.other.pending:
            return False
        # Unregistered, because epoll would report the hang-up again and again. `_flush` registers it again once the
        # other end has accepted what is pending; then the rest is read.
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
            # Data for a closed end is dropped.
            sent = count if other.gone else other.socket.send(_view[:count])
        except BlockingIOError:
            sent = 0
        except OSError:
            # The other end is closed, and epoll reports that next. First, what its peer had sent must be forwarded.
            return True
        if sent < count:
            other.pending = bytes(_view[sent:count])
            self._watch_both()
        return True

    def _refuse(self, app: End, refusal: RefusalError) -> None:
        self._bounds.refusals[refusal.reason] += 1
        # In the middle of another answer the app could not parse the refusal.
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
            # The end is closed, which its other events report.
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
        """Reads from an end only if the other end has accepted all that was read before."""
        if not end.gone:
            reads = 0 if end.other.pending else select.EPOLLIN
            self._epoll.modify(end.fd, reads | (select.EPOLLOUT if end.pending else 0))

    def close(self) -> None:
        """Closes both ends."""
        for end in self.ends:
            end.socket.close()


class Refused:
    """A connection above the limit: its first message is answered with the reason, and then it is closed."""

    def __init__(self, connection: socket.socket, reason: str) -> None:
        self.socket = connection
        self._reason = reason

    def handle(self) -> bool:
        """Returns False once the refusal is sent or the peer has closed the connection."""
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
        """Closes the connection."""
        self.socket.close()
