"""Connects to MongoDB without blocking, because one thread serves the connections of all apps."""

import errno
import os
import socket
import time
from typing import Final

# How often a connection is tried again while MongoDB's queue is full. The kernel has no event for free room in the
# queue of a unix socket.
RETRY_SECONDS: Final = 0.01
_GIVE_UP_SECONDS: Final = 5.0


class Attempt:
    """A connection attempt. `socket` is connected once `advance` has returned True."""

    def __init__(self, upstream: str) -> None:
        """`upstream` is the path of a unix socket, or an `address:port` on this machine. Raises OSError."""
        self._is_path = upstream.startswith("/")
        host, _, port = upstream.rpartition(":")
        self._address = upstream if self._is_path else (host, int(port))
        self._end = time.monotonic() + _GIVE_UP_SECONDS
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(socket.AF_UNIX if self._is_path else family, socket.SOCK_STREAM)
        self.socket.setblocking(False)

    def advance(self) -> bool:
        """Returns whether `socket` is connected. Raises OSError if the attempt has failed."""
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
