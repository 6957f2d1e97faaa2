"""Accepts connections for the relay."""

import errno
import socket


def accept(listener: socket.socket) -> tuple[socket.socket, str] | None:
    """Returns a connection and its peer's address (empty for unix sockets); None if the peer has already closed it.

    Raises OSError if there is no descriptor or no memory. The listener then stays readable, so the caller must pause
    it.
    """
    try:
        connection, address = listener.accept()
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno == errno.ECONNABORTED:
            return None
        raise
    return connection, address[0] if isinstance(address, tuple) else ""
