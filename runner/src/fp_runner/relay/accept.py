"""How the relay takes connections."""

import errno
import socket


def accept(listener: socket.socket) -> tuple[socket.socket, str] | None:
    """A connection and its peer's address (empty for unix sockets); None where the peer has gone again.

    Raises OSError where there is no descriptor or no memory for one: the listener would be ready again and again.
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
