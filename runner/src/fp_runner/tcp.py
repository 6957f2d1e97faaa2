"""The pod's port: one socket for IPv4 and IPv6."""

import socket
from typing import Final

_BACKLOG: Final = 1024


def listen(port: int) -> socket.socket:
    """Listens on all addresses. Raises OSError."""
    try:
        listener = socket.socket(socket.AF_INET6)
    except OSError:
        return _bind(socket.socket(), ("0.0.0.0", port))  # noqa: S104 (the pod's network is its own)
    try:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        return _bind(listener, ("::", port))
    except OSError:
        # The kernel supports IPv6, but it is switched off.
        listener.close()
        return _bind(socket.socket(), ("0.0.0.0", port))  # noqa: S104


def _bind(listener: socket.socket, address: tuple[str, int]) -> socket.socket:
    # Connections of an earlier container of this pod may be in TIME_WAIT.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener


def close_port(listener: socket.socket) -> list[socket.socket]:
    """Closes the port. Returns the connections in its backlog, which would be reset otherwise.

    Connections whose handshake is under way at that moment are reset. A socket filter could refuse new ones first, but
    kernels may deny it to a process without capabilities.
    """
    accepted: list[socket.socket] = []
    while True:
        try:
            accepted.append(listener.accept()[0])
        except OSError:
            listener.shutdown(socket.SHUT_RD)
            return accepted
