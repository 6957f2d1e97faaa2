"""Drives a real manager over a socket pair, as the platform does."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

SOURCE = Path(__file__).resolve().parents[1] / "src"
_AS_FD_3 = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.closerange(4, 4096); os.execv(sys.argv[2], sys.argv[2:])"
Event = dict[str, Any]


class Manager:
    """One manager process. Every wait has a timeout, so that a broken manager fails a test instead of blocking it."""

    def __init__(
        self,
        python: str = sys.executable,
        user: int | None = None,
        libraries: str = "",
        arguments: tuple[str, ...] = ("-m", "fp_runner.manager"),
        prefix: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        self.socket, theirs = socket.socketpair()
        fd = theirs.fileno()
        self.process = subprocess.Popen(
            [*prefix, python, "-I", "-S", "-c", _AS_FD_3, str(fd), python, "-s", "-P", *arguments],
            env={"PYTHONPATH": f"{SOURCE}:{libraries}".rstrip(":"), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
            | (environment or {}),
            stdin=subprocess.DEVNULL,
            pass_fds=[fd],
            user=user,
            group=user,
            extra_groups=[] if user else None,
        )
        theirs.close()
        self._rest = b""
        self.seen: list[Event] = []
        self.hello = self.wait("hello", timeout=30)

    def send(self, message: Event) -> None:
        self.socket.sendall(json.dumps(message).encode() + b"\n")

    def read(self, timeout: float) -> Event:
        end = time.monotonic() + timeout
        while b"\n" not in self._rest:
            self.socket.settimeout(max(0.001, end - time.monotonic()))
            data = self.socket.recv(65536)
            if not data:
                raise EOFError("the manager has closed the connection")
            self._rest += data
        line, self._rest = self._rest.split(b"\n", 1)
        event: Event = json.loads(line)
        self.seen.append(event)
        return event

    def wait(self, name: str, timeout: float = 20, **match: Any) -> Event:
        """Returns the next event with this name and these fields, seen before or not, and removes it from `seen`."""
        for event in self.seen:
            if _fits(event, name, match):
                self.seen.remove(event)
                return event
        end = time.monotonic() + timeout
        while True:
            event = self.read(max(0.001, end - time.monotonic()))
            if _fits(event, name, match):
                self.seen.remove(event)
                return event

    def close(self) -> None:
        self.socket.close()
        self.process.wait(20)


def _fits(event: Event, name: str, match: dict[str, Any]) -> bool:
    return event["event"] == name and all(event.get(key) == value for key, value in match.items())


def client(path: Path, timeout: float = 20) -> httpx.Client:
    """An HTTP client that connects to an app's socket."""
    return httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://app", timeout=timeout)


def until(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    """Waits for a condition that no event reports: polls, and fails after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} has not happened"
        time.sleep(0.01)
