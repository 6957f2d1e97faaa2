"""The connections of one app."""

import os
import select
import socket
from collections.abc import Callable
from typing import Final

from fp_runner.relay.wire import End, Refused, Wire

# Of an app that has more to say it is the next one's turn after this many messages.
_TURN: Final = 8
_BACKLOG: Final = 256
# Those that wait to be told why they are refused; with one more the oldest is closed without a word.
_MAX_REFUSED: Final = 16


class App:
    """Listens on a socket that this app alone knows. Has an epoll of its own, which is one entry of the relay's: apps
    that are ready take turns, however many connections one has or asks for."""

    def __init__(self, name: str, path: str, admit: Callable[["App", socket.socket], None]) -> None:
        """`admit` is given each new connection. Raises OSError where no socket can be made at `path`."""
        self.name = name
        self.epoll = select.epoll()
        self._path = path
        self._admit = admit
        self._listener = _listen(path)
        self.epoll.register(self._listener, select.EPOLLIN)
        self._ends: dict[int, End] = {}
        # In the order in which they came.
        self._wires: dict[Wire, None] = {}
        self._refused: dict[int, Refused] = {}
        # Since the platform was last told.
        self.refusals = 0

    def __len__(self) -> int:
        """How many connections it has."""
        return len(self._wires)

    def connect(self, connection: socket.socket, mongodb: socket.socket) -> None:
        """Carries one more connection."""
        wire = Wire(connection, mongodb, self.epoll.modify)
        self._wires[wire] = None
        for end in wire.ends:
            self._ends[end.fd] = end
            self.epoll.register(end.fd, select.EPOLLIN)

    def refuse(self, connection: socket.socket, reason: str) -> None:
        """Answers a connection with the reason why it is not carried."""
        self.refusals += 1
        if len(self._refused) >= _MAX_REFUSED:
            # Those that say nothing must not keep the reason from those that ask.
            self._refused.pop(next(iter(self._refused))).close()
        self._refused[connection.fileno()] = Refused(connection, reason)
        self.epoll.register(connection, select.EPOLLIN)

    def close_oldest(self) -> None:
        """Ends the connection that has been there for longest; its driver makes another when it needs one."""
        self._close(next(iter(self._wires)))

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
            elif fd == self._listener.fileno():
                self._accept()

    def close(self) -> None:
        """Ends all connections and removes the socket."""
        for wire in [*self._wires]:
            self._close(wire)
        for refused in self._refused.values():
            refused.close()
        self._listener.close()
        self.epoll.close()
        try:
            os.unlink(self._path)
        except OSError:
            pass

    def _accept(self) -> None:
        try:
            connection, _address = self._listener.accept()
        except OSError:
            # It has gone again.
            return
        connection.setblocking(False)
        self._admit(self, connection)

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
