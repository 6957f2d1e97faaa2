"""The manager ends with the platform, leaks nothing and survives invalid input."""

import os
import select
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import driver
from conftest import App

APP = {
    "app.py": """
        import asyncio
        from fastapi import FastAPI
        app = FastAPI()

        @app.get("/")
        async def read(): return 1
    """
}


@pytest.fixture
def manager() -> Iterator[driver.Manager]:
    manager = driver.Manager()
    yield manager
    manager.close()


def _groups(pid: int) -> list[str]:
    return [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/fp-{pid}-*")]


def _descendants(pid: int) -> set[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    children = {int(child) for child in text}
    return children.union(*(_descendants(child) for child in children)) if children else children


def _wait_gone(pids: set[int]) -> None:
    for pid in pids:
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        ended = poll.poll(10_000)
        os.close(fd)
        assert ended


def test_everything_ends_when_the_platform_disconnects(manager: driver.Manager, tmp_path: Path) -> None:
    app = App(manager, tmp_path, "one", APP).start().ready()
    pids = _descendants(manager.process.pid)
    assert len(pids) >= 3
    manager.socket.close()
    assert manager.process.wait(20) == 0
    _wait_gone(pids)
    assert not app.socket.exists()
    assert _groups(manager.process.pid) == []


def test_everything_ends_when_the_manager_is_killed(manager: driver.Manager, tmp_path: Path) -> None:
    App(manager, tmp_path, "one", APP).start().ready()
    pids = _descendants(manager.process.pid)
    manager.process.kill()
    manager.process.wait(20)
    _wait_gone(pids)
    assert _groups(manager.process.pid) == []


def test_the_manager_ends_if_the_platform_leaves_events_unread(manager: driver.Manager, tmp_path: Path) -> None:
    App(manager, tmp_path, "one", APP).start()
    manager.socket.shutdown(socket.SHUT_RD)
    manager.socket.close()
    assert manager.process.wait(20) == 0


def test_the_manager_survives_signals_and_invalid_messages(manager: driver.Manager, tmp_path: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(manager.process.pid, number)
    manager.socket.sendall(b"\n{\n[]\n42\n" + b'{"op":"start"}\n{"op":"stop","id":"none"}\n{"op":"what"}\n')
    app = App(manager, tmp_path, "one", APP).start().ready()
    assert app.get("/").json() == 1
    assert app.stop()["reason"] == "stopped"


def test_fifty_starts_and_stops_leak_nothing(manager: driver.Manager, tmp_path: Path) -> None:
    app = App(manager, tmp_path, "one", APP)

    def count() -> tuple[int, int]:
        mounts = Path(f"/proc/{manager.process.pid}/mountinfo").read_text().count("\n")
        return len(os.listdir(f"/proc/{manager.process.pid}/fd")), mounts

    def pidfds() -> int:
        links = [os.readlink(path) for path in Path(f"/proc/{manager.process.pid}/fd").iterdir() if path.is_symlink()]
        return len([link for link in links if "pidfd" in link])

    def settle() -> tuple[int, int]:
        # The helper process, the zygote and two spares of two processes each are running, and nothing is starting.
        while len(_descendants(manager.process.pid)) != 6 or pidfds() != 4:
            pass
        return count()

    app.start().ready()
    app.stop()
    before = settle()
    for _ in range(50):
        app.start().ready()
        app.get("/")
        assert app.stop(grace_ms=5000)["reason"] == "stopped"
        manager.seen.clear()
    # Processes of the last round and the spares may still be ending or starting. With a leak, the numbers never match.
    end = time.monotonic() + 10
    while (after := settle()) != before and time.monotonic() < end:
        continue
    assert after == before


def test_many_apps_start_at_once(manager: driver.Manager, tmp_path: Path) -> None:
    apps = [App(manager, tmp_path, f"app{number}", APP).start() for number in range(12)]
    for app in apps:
        app.ready()
        assert app.get("/").json() == 1
    for app in apps:
        assert app.kill()["reason"] == "killed"
