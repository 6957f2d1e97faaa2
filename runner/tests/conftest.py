import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import driver
import pods

UIDS = iter(range(200_100, 290_000))


@pytest.fixture(scope="session")
def shared_manager() -> Iterator[driver.Manager]:
    manager = driver.Manager()
    yield manager
    manager.close()
    assert manager.process.returncode == 0


# The platform's defaults.
LIMITS: dict[str, Any] = {
    "memory_bytes": 512 * 1024 * 1024,
    "cpus": None,
    "pids": 64,
    "file_bytes": 64 * 1024 * 1024,
    "tmp_bytes": 64 * 1024 * 1024,
    "open_files": 1024,
    "start_seconds": 20,
}


class App:
    """An app on disk, with the operations of tests."""

    def __init__(self, manager: driver.Manager, folder: Path, name: str, files: dict[str, str]) -> None:
        self.manager, self.id = manager, f"{folder.name}-{name}"
        self.dir = folder / name
        self.socket = folder / f"{name}.sock"
        self.log = folder / f"{name}.log"
        for path, text in files.items():
            file = self.dir / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text))
        self.uid = next(UIDS)

    def start(self, **change: Any) -> "App":
        limits = change.pop("limits", {})
        op = {
            "op": "start",
            "id": self.id,
            "mode": "serve",
            "socket": str(self.socket),
            "app_dir": str(self.dir),
            "entrypoint": "app.py",
            "env": {"GREETING": "hello", "PORT": "8000"},
            "log": str(self.log),
            "log_tag": "1.0-x",
            "uid": self.uid,
            "gid": self.uid,
            "user": "somebody",
            "limits": LIMITS | limits,
        }
        self.manager.send(op | change)
        return self

    def ready(self) -> "App":
        self.manager.wait("phase", id=self.id, phase="ready")
        return self

    def stop(self, grace_ms: int = 10_000) -> driver.Event:
        self.manager.send({"op": "stop", "id": self.id, "grace_ms": grace_ms})
        return self.exited()

    def kill(self) -> driver.Event:
        self.manager.send({"op": "kill", "id": self.id})
        return self.exited()

    def exited(self) -> driver.Event:
        return self.manager.wait("exited", id=self.id)

    def failed(self) -> Any:
        failure = self.manager.wait("failed", id=self.id)["failure"]
        self.exited()
        return failure

    def get(self, path: str) -> Any:
        with driver.client(self.socket) as client:
            return client.get(path)

    def output(self) -> str:
        """The app's output, without the marks of the lines."""
        return re.sub(r"\x1e[oe]\d{13} 1\.0-x ", "", self.log.read_text())


MakeApp = Callable[..., App]


@pytest.fixture
def make_app(shared_manager: driver.Manager, tmp_path: Path) -> Iterator[MakeApp]:
    """make_app("code of app.py", name="one", files={…}). Apps that still run at the end of the test are killed."""
    made: list[App] = []

    def make(code: str = "", *, name: str = "one", files: dict[str, str] | None = None) -> App:
        app = App(shared_manager, tmp_path, name, (files or {}) | ({"app.py": code} if code else {}))
        made.append(app)
        return app

    yield make
    for app in made:
        if app.socket.exists():
            app.kill()
    # Otherwise a later test could find events of this test.
    shared_manager.seen.clear()


MakePod = Callable[..., pods.Pod]


@pytest.fixture
def make_pod(tmp_path: Path) -> Iterator[MakePod]:
    """make_pod(start request) reads it from a file; make_pod(wait=True) waits for a claim. Killed at the end."""
    if not pods.usable():
        pytest.skip("no Python and libraries that an ordinary user can read")
    made: list[pods.Pod] = []

    def make(
        packed: bytes | None = None, *, wait: bool = False, cold: bool = False, start: bool = True, **more: Any
    ) -> pods.Pod:
        folder = tmp_path / f"pod{len(made)}"
        folder.mkdir()
        if wait:
            more["env"] = {"FP_POD_KEY": pods.KEY} | more.get("env", {})
        flags = [*(["--wait"] if wait else []), *(["--cold"] if cold else [])]
        pod = pods.Pod(folder, packed, *flags, **more)
        made.append(pod)
        return pod.start() if start else pod

    yield make
    for pod in made:
        pod.close()
