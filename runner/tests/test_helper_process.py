"""The process that puts others into control groups and networks, and its resolver."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

import driver
from conftest import App
from fp_runner import channel
from fp_runner.network import resolver
from fp_runner.network.resolver_process import ResolverProcess
from fp_runner.network.settings import Settings
from fp_runner.reactor import Callback, Reactor, Timer

APP = {"app.py": "from fastapi import FastAPI\napp = FastAPI()\n"}


def test_the_manager_ends_when_its_helper_process_ends(tmp_path: Path) -> None:
    manager = driver.Manager()
    app = App(manager, tmp_path, "one", APP).start().ready()
    own = Path(f"/proc/{manager.process.pid}/cmdline").read_bytes()
    children = Path(f"/proc/{manager.process.pid}/task/{manager.process.pid}/children").read_text().split()
    # A fork has its parent's command line, while the zygote was started with exec.
    helpers = [int(pid) for pid in children if Path(f"/proc/{pid}/cmdline").read_bytes() == own]
    if not helpers:
        manager.close()
        pytest.skip("no control groups here, so there is no helper")
    (helper,) = helpers
    os.kill(helper, signal.SIGKILL)
    assert app.exited()["reason"] == "killed"
    assert manager.process.wait(20) == 0
    manager.close()


class CountingReactor(Reactor):
    """Runs its timers at once, and records the delays."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    def call_later(self, seconds: float, callback: Callback) -> Timer:
        self.pauses.append(seconds)
        return super().call_later(0, callback)


class Allowed:
    """Records what the resolver asks the firewall to allow."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.error: OSError | None = None

    def __call__(self, name: str, _found: list[IPv4Address]) -> None:
        self.names.append(name)
        if self.error:
            raise self.error


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, ...]]:
    pair = socket.socketpair()
    yield pair
    for one in pair:
        one.close()


def serve_with(body: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces the work of the resolver's process by `body`."""
    monkeypatch.setattr(resolver, "serve", lambda control, _settings: body(control))


def test_a_resolver_that_cannot_start_is_restarted_with_growing_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    serve_with(lambda _control: os._exit(1), monkeypatch)
    reactor = CountingReactor()
    process = ResolverProcess(Settings(), reactor, Allowed())
    while len(reactor.pauses) < 4:
        reactor.run_once()
    assert reactor.pauses == [0.1, 0.2, 0.4, 0.8]

    def no_fork() -> int:
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(os, "fork", no_fork)
    while len(reactor.pauses) < 6:
        reactor.run_once()
    assert reactor.pauses[4:] == [1.6, 3.2]
    process.close()


@pytest.mark.parametrize(
    "message", [{"number": 1, "host": "a", "addresses": ["x"]}, {"number": 1}, {"number": None, "addresses": 1}]
)
def test_an_invalid_message_replaces_the_resolver(message: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def body(control: socket.socket) -> None:
        channel.send(control, message)
        control.recv(1)

    serve_with(body, monkeypatch)
    reactor, allowed = CountingReactor(), Allowed()
    process = ResolverProcess(Settings(), reactor, allowed)
    while len(reactor.pauses) < 2:
        reactor.run_once()
    assert allowed.names == []
    process.close()


def test_a_firewall_error_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    def body(control: socket.socket) -> None:
        for number in range(2):
            channel.send(control, {"number": number, "host": "first", "addresses": ["192.0.2.1"]})
            received = channel.receive(control)
            assert received
            channel.send(control, {"number": 9, "host": str(received.message["allowed"]), "addresses": []})
            channel.receive(control)
        control.recv(1)

    serve_with(body, monkeypatch)
    allowed = Allowed()
    allowed.error = OSError("nft does not answer")
    reactor = CountingReactor()
    process = ResolverProcess(Settings(), reactor, allowed)
    while len(allowed.names) < 2:
        reactor.run_once()
    allowed.error = None
    while len(allowed.names) < 4:
        reactor.run_once()
    assert allowed.names == ["first", "False", "first", "True"]
    assert reactor.pauses == []
    process.close()


def test_a_resolver_that_reads_late_receives_every_app(
    sockets: tuple[socket.socket, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    apps = 2000

    def body(control: socket.socket) -> None:
        complete = 0
        while complete < apps:
            received = channel.receive(control)
            assert received
            complete += len(received.fds) == len(sockets)
            for fd in received.fds:
                os.close(fd)
        channel.send(control, {"number": 1, "host": "all", "addresses": []})
        control.recv(1)

    serve_with(body, monkeypatch)
    reactor, allowed = CountingReactor(), Allowed()
    process = ResolverProcess(Settings(), reactor, allowed)
    os.kill(process.pid, signal.SIGSTOP)
    for number in range(apps):
        process.add(f"{number}", sockets)
    os.kill(process.pid, signal.SIGCONT)
    while not allowed.names:
        reactor.run_once()
    assert reactor.pauses == []
    process.close()


def test_a_request_to_the_firewall_without_an_answer_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "_ALLOW_SECONDS", 0.01)
    ours, theirs = channel.pair()

    async def ask() -> bool:
        theirs.setblocking(False)
        return await resolver.Service(theirs, Settings())._allow("public.test", [])

    assert asyncio.run(asyncio.wait_for(ask(), 20)) is False
    with ours, theirs:
        assert channel.receive(ours) is not None
