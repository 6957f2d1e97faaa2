"""The connections of one app."""

import os
import select
import socket
from collections.abc import Callable
from typing import Final

from fp_runner.relay.accept import accept
from fp_runner.relay.bounds import Bounds
from fp_runner.relay.upstream import Attempt
from fp_runner.relay.wire import End, Refused, Wire

# Of an app that has more to say it is the next one's turn after this many messages.
_TURN: Final = 8
_BACKLOG: Final = 256
# Refused connections that wait for the reason. With one more the oldest is closed without an answer.
_MAX_REFUSED: Final = 16


class App:
    """Listens on a socket that this app alone knows, or has the connections of one address.

    Has an epoll of its own, which is one entry of the relay's: apps that are ready take turns, however many connections
    one has or asks for.
    """

    def __init__(self, name: str, path: str | None, admit: Callable[["App", socket.socket], None]) -> None:
        """`admit` is given each new connection at `path`. Raises OSError where no socket can be made there."""
        self.name = name
        self.epoll = select.epoll()
        self._path = path
        self._admit = admit
        self._listener = None if path is None else _listen(path)
        if self._listener:
            self.epoll.register(self._listener, select.EPOLLIN)
        self._ends: dict[int, End] = {}
        # In the order in which they came.
        self._wires: dict[Wire, None] = {}
        self._refused: dict[int, Refused] = {}
        # Connections that MongoDB has no room for yet.
        self._attempts: dict[socket.socket, Attempt] = {}
        # Whether it is not listened to, for want of a descriptor.
        self._paused = False
        self.bounds = Bounds()
        # Connections, since the platform was last told.
        self.refusals = 0

    def __len__(self) -> int:
        """How many connections it has."""
        return len(self._wires) + len(self._attempts)

    @property
    def is_idle(self) -> bool:
        """Whether nothing of it is left, and nothing of it can come but by way of the relay."""
        return not (self._listener or self._wires or self._attempts or self._refused)

    def connect(self, connection: socket.socket, attempt: Attempt) -> None:
        """Carries one more connection, once MongoDB has taken it."""
        self._attempts[connection] = attempt
        self._advance(connection)

    @property
    def is_waiting(self) -> bool:
        """Whether there is something for `retry` to do."""
        return self._paused or bool(self._attempts)

    def retry(self) -> None:
        """Tries again what could not be done at once."""
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
            wire = Wire(connection, attempt.socket, self.bounds, self.epoll)
        except OSError:
            # Drivers take it for a server that is being started again, which it is, and come back.
            attempt.socket.close()
            connection.close()
            return
        self._wires[wire] = None
        self._ends |= {end.fd: end for end in wire.ends}

    def refuse(self, connection: socket.socket, reason: str) -> None:
        """Answers a connection with the reason why it is not carried."""
        self.refusals += 1
        if len(self._refused) >= _MAX_REFUSED:
            # Silent connections must not take the place of those that wait for the reason.
            self._refused.pop(next(iter(self._refused))).close()
        self._refused[connection.fileno()] = Refused(connection, reason)
        self.epoll.register(connection, select.EPOLLIN)

    def close_oldest(self) -> None:
        """Ends the connection that has been there for longest; its driver makes another when it needs one."""
        if self._wires:
            self._close(next(iter(self._wires)))
        else:
            self._give_up(next(iter(self._attempts)))

    def turn(self) -> None:
        """Passes on what is there, up to a bound."""
        for fd, events in self.epoll.poll(0, _TURN):
            end = self._ends.get(fd)
            if end is not None:
                if not end.wire.handle(end, events):
                    self._close(end.wire)
            elif fd in self._refused:
                if not self._refused[fd].handle():
                    self._refused.pop(fd).close()
            elif self._listener and fd == self._listener.fileno():
                self._accept(self._listener)

    def close(self) -> None:
        """Ends all connections and removes the socket."""
        for wire in [*self._wires]:
            self._close(wire)
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

    def _close(self, wire: Wire) -> None:
        del self._wires[wire]
        for end in wire.ends:
            del self._ends[end.fd]
        # Also takes them out of the epoll: nobody else has these descriptors.
        wire.close()


def _listen(path: str) -> socket.socket:
    try:
        # Of an earlier relay.
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
