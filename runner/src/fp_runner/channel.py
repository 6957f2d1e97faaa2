"""One message at a time between the manager and a child (or a helper), with file descriptors where needed.

SOCK_SEQPACKET keeps messages whole, so neither side has to buffer, and the kernel stamps each with the sender's pid
as the manager knows it (SCM_CREDENTIALS).
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
    size: int = 0


def pair() -> tuple[socket.socket, socket.socket]:
    """(the manager's end, the child's end)."""
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
    """The next message, or None if the peer has closed the socket. Raises ValueError for an invalid message."""
    return _receive(channel, _MAX_FDS)


def receive_report(channel: socket.socket) -> Received | None:
    """As `receive`, from a socket that user code holds too. Raises ValueError if descriptors were sent: there is no
    room for any, so the kernel has closed them and none has entered this process."""
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
    """As `receive`, in a child: also takes a message that did not fit."""
    received = receive(channel)
    if received and not received.message and received.fds:
        fd = received.fds.pop()
        with open(fd, "rb") as file:
            file.seek(0)
            received.message = json.load(file)
    return received
