"""A connection to MongoDB that is being made, without waiting for it: the one thread carries everybody's queries."""

import errno
import os
import socket
import time
from typing import Final

# How often it is tried again while MongoDB has no room for one more: the kernel does not tell of room in a unix
# socket's queue.
RETRY_SECONDS: Final = 0.01
_GIVE_UP_SECONDS: Final = 5.0


class Attempt:
    """`socket` is connected once `advance` says so."""

    def __init__(self, upstream: str) -> None:
        """`upstream` is the path of a socket, or `address:port` on this machine. Raises OSError."""
        self._is_path = upstream.startswith("/")
        host, _, port = upstream.rpartition(":")
        self._address = upstream if self._is_path else (host, int(port))
        self._end = time.monotonic() + _GIVE_UP_SECONDS
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(socket.AF_UNIX if self._is_path else family, socket.SOCK_STREAM)
        self.socket.setblocking(False)

    def advance(self) -> bool:
        """Whether it is connected. Raises OSError where it will not be."""
        error = self.socket.connect_ex(self._address)
        if error in (errno.EAGAIN, errno.EINPROGRESS, errno.EALREADY):
            if time.monotonic() > self._end:
                raise TimeoutError("MongoDB does not accept connections")
            return False
        if error not in (0, errno.EISCONN):
            raise OSError(error, os.strerror(error))
        if not self._is_path:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return True
