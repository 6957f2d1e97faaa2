"""Single messages between the manager and a child (or a helper), with file descriptors if needed.

SOCK_SEQPACKET keeps message boundaries, so neither side has to buffer. The kernel adds the sender's pid in the
manager's pid namespace (SCM_CREDENTIALS).
"""

import array
import json
import os
import socket
import struct
from dataclasses import dataclass, field
from typing import Final

from fp_runner.protocol import Message

# Tracebacks of failures are cut to stay far below this size.
_MAX_MESSAGE: Final = 128 * 1024
# Larger messages (with a large environment) are sent as a file in memory. This works only towards a child: the manager
# never opens such a file from a child.
_IN_FILE: Final = b"{}"
_MAX_FDS: Final = 4
_CREDENTIALS: Final = struct.Struct("3i")


@dataclass
class Received:
    """A message, its fds (which the receiver must close), and the sender's pid if the socket requests it."""

    message: Message
    fds: list[int] = field(default_factory=list)
    pid: int | None = None
    size: int = 0


def pair() -> tuple[socket.socket, socket.socket]:
    """(the manager's end, the child's end)."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    ours.setblocking(False)
    return ours, theirs


def send(channel: socket.socket, message: Message, fds: tuple[int, ...] = ()) -> None:
    """Sends one message. Raises OSError if the peer has closed or, on a nonblocking socket, does not read."""
    data = json.dumps(message).encode()
    if len(data) <= _MAX_MESSAGE:
        socket.send_fds(channel, [data], list(fds)) if fds else channel.send(data)
        return
    with open(os.memfd_create("fp-message"), "w+b", buffering=0) as file:
        file.write(data)
        socket.send_fds(channel, [_IN_FILE], [*fds, file.fileno()])


def receive(channel: socket.socket) -> Received | None:
    """The next message, or None if the peer has closed the socket. Raises ValueError for an invalid message."""
    return _receive(channel, _MAX_FDS)


def receive_report(channel: socket.socket) -> Received | None:
    """Like `receive`, for a socket that user code can write to. Raises ValueError if descriptors were sent. There is no
    buffer for descriptors, so the kernel has closed them and this process never gets one."""
    return _receive(channel, 0)


def _receive(channel: socket.socket, max_fds: int) -> Received | None:
    space = socket.CMSG_SPACE(_CREDENTIALS.size) + (socket.CMSG_SPACE(max_fds * 4) if max_fds else 0)
    try:
        data, ancillary, flags, _ = channel.recvmsg(_MAX_MESSAGE, space, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        return None
    received = Received({}, size=len(data))
    for level, kind, payload in ancillary:
        if level != socket.SOL_SOCKET:
            continue
        if kind == socket.SCM_RIGHTS:
            fds = array.array("i")
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
            received.fds += fds
        elif kind == socket.SCM_CREDENTIALS:
            received.pid = _CREDENTIALS.unpack(payload[: _CREDENTIALS.size])[0]
    try:
        if flags & socket.MSG_CTRUNC:
            raise ValueError("descriptors were sent")
        if not data:
            return None
        if flags & socket.MSG_TRUNC:
            raise ValueError("a message is too long")
        received.message = _decode(data)
    except ValueError:
        for fd in received.fds:
            os.close(fd)
        raise
    return received


def _decode(data: bytes) -> Message:
    try:
        message = json.loads(data)
    except RecursionError as error:
        raise ValueError("a message is nested too deeply") from error
    if not isinstance(message, dict):
        raise ValueError("not a message")
    return message


def receive_start_request(channel: socket.socket) -> Received | None:
    """Like `receive`, in a child. Also reads a message that was sent as a file."""
    received = receive(channel)
    if received and not received.message and received.fds:
        fd = received.fds.pop()
        with open(fd, "rb") as file:
            file.seek(0)
            received.message = json.load(file)
    return received
