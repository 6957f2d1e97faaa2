"""The relay of database connections, one turn at a time. relay.integration.test.ts tests it with a real MongoDB."""

import os
import resource
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from fp_runner.relay.app import App
from fp_runner.relay.relay import Limits, Relay

_LENGTH = 40_000_000
_PING = b"\x10ping\0\x01\0\0\0" + b"\x05pad\0" + struct.pack("<iB", _LENGTH - 1_000, 0)
# The start of a message that any bytes can continue.
LONG_MESSAGE = struct.pack("<iiiiIBi", _LENGTH, 1, 0, 2013, 0, 0, _LENGTH - 21) + _PING


class Scene:
    """A relay with one app, and a server instead of MongoDB."""

    def __init__(self, folder: Path, backlog: int = 8) -> None:
        self.path = str(folder / "app.sock")
        self.upstream = str(folder / "mongodb.sock")
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(self.upstream)
        self.server.listen(backlog)
        self.server.setblocking(False)
        self.relay = Relay(self.upstream, Limits(10, 10), lambda _event: None)
        self.relay.open("one", self.path)
        self.app: App = self.relay._apps["one"]
        self.made: list[socket.socket] = [self.server]

    def client(self, path: str | None = None) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        self.made.append(client)
        client.connect(path or self.path)
        return client

    def accept(self) -> socket.socket:
        connection, _ = self.server.accept()
        connection.setblocking(False)
        self.made.append(connection)
        return connection

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """A connection of the app, and the server's end of it."""
        client = self.client()
        self.relay.turn(self.app)
        return client, self.accept()

    def close(self) -> None:
        self.relay.close_all()
        for one in self.made:
            one.close()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    scene.close()


def test_a_full_queue_of_mongodb_does_not_block_other_connections(tmp_path: Path) -> None:
    scene = Scene(tmp_path, backlog=0)
    client, mongodb = scene.pair()
    with suppress(BlockingIOError):
        while True:
            scene.client(scene.upstream)
    waiting = scene.client()
    scene.relay.turn(scene.app)
    scene.relay.retry()
    assert len(scene.app) == 2
    client.send(b"question")
    scene.relay.turn(scene.app)
    assert mongodb.recv(100) == b"question"
    with pytest.raises(BlockingIOError):
        waiting.recv(1)
    # The server has room again.
    with suppress(BlockingIOError):
        while True:
            scene.accept()
    scene.relay.retry()
    late = scene.accept()
    waiting.send(b"late")
    scene.relay.turn(scene.app)
    assert late.recv(100) == b"late"
    assert not scene.app.is_waiting
    scene.close()


@pytest.mark.parametrize("writer_is_app", [False, True])
def test_data_sent_before_a_close_arrives_completely(scene: Scene, writer_is_app: bool) -> None:
    client, mongodb = scene.pair()
    writer, reader = (client, mongodb) if writer_is_app else (mongodb, client)
    data, sent = LONG_MESSAGE + os.urandom(4 << 20), 0
    if not writer_is_app:
        reader.send(LONG_MESSAGE)
    # Until neither the reader nor the relay accepts more. The writer does not read, so this data is lost.
    with suppress(BlockingIOError):
        while True:
            reader.send(bytes(1 << 16))
            scene.relay.turn(scene.app)
    stalled = 0
    while stalled < 3:
        try:
            sent += writer.send(data[sent:])
            stalled = 0
        except BlockingIOError:
            stalled += 1
        scene.relay.turn(scene.app)
    assert 0 < sent < len(data)
    writer.close()
    received = b""
    # More turns than necessary; the bound keeps the test from hanging if the connection is never closed.
    for _ in range(10_000):
        scene.relay.turn(scene.app)
        try:
            part = reader.recv(1 << 16)
        except BlockingIOError:
            continue
        except ConnectionResetError:
            # The kernel reports this if the other end was closed with unread data.
            break
        if not part:
            break
        received += part
    assert received == data[:sent]
    assert len(scene.app) == 0


def test_without_a_free_descriptor_the_relay_waits_without_polling(scene: Scene) -> None:
    client = scene.client()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        scene.relay.turn(scene.app)
        assert scene.app.epoll.poll(0) == []
        scene.relay.retry()
        scene.relay.turn(scene.app)
        assert scene.app.is_waiting
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    scene.relay.retry()
    scene.relay.turn(scene.app)
    client.send(b"question")
    scene.relay.turn(scene.app)
    assert scene.accept().recv(100) == b"question"
