"""One message at a time between the zygote and a child, with file descriptors where needed.

SOCK_SEQPACKET keeps messages whole, so neither side has to buffer, and the kernel stamps each with the sender's pid
as the zygote knows it (SCM_CREDENTIALS).
"""

import array
import json
import os
import socket
import struct
from dataclasses import dataclass, field
from typing import Final

from fp_runner.protocol import Message

# A failure's traceback is cut to stay far below this.
_MAX_MESSAGE: Final = 128 * 1024
# Larger ones (an environment) go through a file in memory. Only to a child: what a child sends is never followed.
_IN_FILE: Final = b"{}"
_MAX_FDS: Final = 4
_CREDENTIALS: Final = struct.Struct("3i")


@dataclass
class Received:
    """A message, its fds (now the receiver's to close), and the sender's pid if the socket asks for it."""

    message: Message
    fds: list[int] = field(default_factory=list)
    pid: int | None = None


def pair() -> tuple[socket.socket, socket.socket]:
    """(the zygote's end, the child's end)."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    ours.setblocking(False)
    return ours, theirs


def send(channel: socket.socket, message: Message, fds: tuple[int, ...] = ()) -> None:
    """Sends one message. Raises OSError when the peer is gone or (not blocking) does not read."""
    data = json.dumps(message).encode()
    if len(data) <= _MAX_MESSAGE:
        socket.send_fds(channel, [data], list(fds)) if fds else channel.send(data)
        return
    with open(os.memfd_create("fp-message"), "w+b", buffering=0) as file:
        file.write(data)
        socket.send_fds(channel, [_IN_FILE], [*fds, file.fileno()])


def receive(channel: socket.socket) -> Received | None:
    """The next message, or None once the peer is gone. Raises ValueError for what is no message."""
    space = socket.CMSG_SPACE(_MAX_FDS * 4) + socket.CMSG_SPACE(_CREDENTIALS.size)
    try:
        data, ancillary, flags, _ = channel.recvmsg(_MAX_MESSAGE, space, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        return None
    received = Received({})
    for level, kind, payload in ancillary:
        if level != socket.SOL_SOCKET:
            continue
        if kind == socket.SCM_RIGHTS:
            fds = array.array("i")
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
            received.fds += fds
        elif kind == socket.SCM_CREDENTIALS:
            received.pid = _CREDENTIALS.unpack(payload[: _CREDENTIALS.size])[0]
    if not data:
        return None
    message = json.loads(data) if not flags & socket.MSG_TRUNC else None
    if not isinstance(message, dict):
        raise ValueError("not a message")
    received.message = message
    return received


def receive_order(channel: socket.socket) -> Received | None:
    """As `receive`, in a child: also takes a message that did not fit."""
    received = receive(channel)
    if received and not received.message and received.fds:
        fd = received.fds.pop()
        with open(fd, "rb") as file:
            file.seek(0)
            received.message = json.load(file)
    return received
