"""Restores in an ASGI scope what the client sent and the platform's proxy replaced.

The platform sends `fp-client: <address> <port> <scheme> <host> <port of the host> <HTTP version>`. Client headers that
a proxy must replace are sent as `fp-client-<name>`, at their original position. The platform overwrites headers with
these names that clients send, and nobody else can connect to an app's socket.
"""

from collections.abc import MutableMapping
from typing import Any, Final

_FACTS: Final = b"fp-client"
_PREFIX: Final = b"fp-client-"
_PREFIX_LENGTH: Final = len(_PREFIX)
# Headers of the connection between platform and app. The client's own values have the prefix.
_OF_CONNECTION: Final = frozenset(
    (b"host", b"connection", b"content-length", b"transfer-encoding", b"upgrade", b"expect"),
)


def restore(scope: MutableMapping[str, Any]) -> None:
    """Makes the scope of a request or WebSocket what it would be without the platform in between."""
    facts: bytes | None = None
    headers: list[tuple[bytes, bytes]] = []
    for header in scope["headers"]:
        name = header[0]
        if name.startswith(_FACTS):
            if name == _FACTS:
                facts = header[1]
            else:
                headers.append((name[_PREFIX_LENGTH:], header[1]))
        elif name not in _OF_CONNECTION:
            headers.append(header)
    if facts is None:
        # The platform itself has sent the request.
        return
    address, port, scheme, host, host_port, version = facts.decode("latin-1").split(" ")
    scope["headers"] = headers
    scope["client"] = (address, int(port))
    scope["server"] = (host, int(host_port))
    scope["scheme"] = scheme if scope["type"] == "http" else scheme.replace("http", "ws")
    scope["http_version"] = version
