"""The connections of one app."""

import os
import select
import socket
from collections.abc import Callable
from typing import Final

from fp_runner.relay.accept import accept
from fp_runner.relay.bounds import Bounds
from fp_runner.relay.connection_pair import ConnectionPair, End, Refused
from fp_runner.relay.upstream import Attempt

# The relay handles this many events of one app, and then goes on with the next app.
_TURN: Final = 8
_BACKLOG: Final = 256
# The most refused connections that may wait for their answer. Beyond that, the oldest is closed without an answer.
_MAX_REFUSED: Final = 16


class App:
    """Listens on a socket that only this app can reach, or holds the connections from one address.

    Each app has an epoll of its own, which is one entry in the relay's epoll. So apps that are ready take turns,
    however many connections one of them has or asks for.
    """

    def __init__(self, name: str, path: str | None, admit: Callable[["App", socket.socket], None]) -> None:
        """`admit` is called with each new connection at `path`. Raises OSError if no socket can be created there."""
        self.name = name
        self.epoll = select.epoll()
        self._path = path
        self._admit = admit
        self._listener = None if path is None else _listen(path)
        if self._listener:
            self.epoll.register(self._listener, select.EPOLLIN)
        self._ends: dict[int, End] = {}
        # In the order in which they were opened.
        self._pairs: dict[ConnectionPair, None] = {}
        self._refused: dict[int, Refused] = {}
        # Connections that MongoDB has not accepted yet.
        self._attempts: dict[socket.socket, Attempt] = {}
        # Whether the listener is paused because there was no free descriptor.
        self._paused = False
        self.bounds = Bounds()
        # Connections refused since the last report to the platform.
        self.refusals = 0

    def __len__(self) -> int:
        """The number of open connections."""
        return len(self._pairs) + len(self._attempts)

    @property
    def is_idle(self) -> bool:
        """Whether the app has nothing open, so that only the relay can bring it a new connection."""
        return not (self._listener or self._pairs or self._attempts or self._refused)

    def connect(self, connection: socket.socket, attempt: Attempt) -> None:
        """Adds a connection, which is used once MongoDB has accepted the attempt."""
        self._attempts[connection] = attempt
        self._advance(connection)

    @property
    def is_waiting(self) -> bool:
        """Whether `retry` has something to do."""
        return self._paused or bool(self._attempts)

    def retry(self) -> None:
        """Tries again what was not possible before."""
        if self._paused and self._listener:
            self._paused = False
            self.epoll.register(self._listener, select.EPOLLIN)
        for connection in [*self._attempts]:
            self._advance(connection)

    def _advance(self, connection: socket.socket) -> None:
        attempt = self._attempts.pop(connection)
        try:
            if not attempt.advance():
                self._attempts[connection] = attempt
                return
            pair = ConnectionPair(connection, attempt.socket, self.bounds, self.epoll)
        except OSError:
            # For a driver this is a server that restarts, which is the usual cause. The driver connects again.
            attempt.socket.close()
            connection.close()
            return
        self._pairs[pair] = None
        self._ends |= {end.fd: end for end in pair.ends}

    def refuse(self, connection: socket.socket, reason: str) -> None:
        """Answers a connection with the reason why it is not carried."""
        self.refusals += 1
        if len(self._refused) >= _MAX_REFUSED:
            # The bound keeps silent connections from using up all places.
            self._refused.pop(next(iter(self._refused))).close()
        self._refused[connection.fileno()] = Refused(connection, reason)
        self.epoll.register(connection, select.EPOLLIN)

    def close_oldest(self) -> None:
        """Closes the connection that has been open the longest. Its driver opens another one when it needs one."""
        if self._pairs:
            self._close(next(iter(self._pairs)))
        else:
            self._give_up(next(iter(self._attempts)))

    def turn(self) -> None:
        """Handles the events that are pending, up to `_TURN`."""
        acceptable = False
        for fd, events in self.epoll.poll(0, _TURN):
            end = self._ends.get(fd)
            if end is not None:
                if not end.pair.handle(end, events):
                    self._close(end.pair)
            elif fd in self._refused:
                if not self._refused[fd].handle():
                    self._refused.pop(fd).close()
            elif self._listener and fd == self._listener.fileno():
                acceptable = True
        # Last, because a new connection may get the descriptor of one that was closed above, and an event of the closed
        # connection may come later in the list.
        if acceptable and self._listener:
            self._accept(self._listener)

    def close(self) -> None:
        """Closes all connections and removes the socket."""
        for pair in [*self._pairs]:
            self._close(pair)
        for connection in [*self._attempts]:
            self._give_up(connection)
        for refused in self._refused.values():
            refused.close()
        self.epoll.close()
        if self._listener and self._path:
            self._listener.close()
            try:
                os.unlink(self._path)
            except OSError:
                pass

    def _accept(self, listener: socket.socket) -> None:
        try:
            accepted = accept(listener)
        except OSError:
            self._paused = True
            self.epoll.unregister(listener)
            return
        if accepted is None:
            return
        connection, _address = accepted
        connection.setblocking(False)
        self._admit(self, connection)

    def _give_up(self, connection: socket.socket) -> None:
        self._attempts.pop(connection).socket.close()
        connection.close()

    def _close(self, pair: ConnectionPair) -> None:
        del self._pairs[pair]
        for end in pair.ends:
            del self._ends[end.fd]
        # Closing the sockets also removes them from the epoll, because no other process has these descriptors.
        pair.close()


def _listen(path: str) -> socket.socket:
    try:
        # The socket of an earlier relay may still be there.
        os.unlink(path)
    except OSError:
        pass
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)
        listener.bind(path)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
