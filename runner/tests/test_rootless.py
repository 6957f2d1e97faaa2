"""A runner without root uses user namespaces and the system's Python, which every user can run."""

import json
import os
import select
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import driver
from conftest import App
from fp_runner import landlock

NOBODY = 65534
PYTHON = "/usr/bin/python3"
LIBRARIES = sysconfig.get_paths()["purelib"]


def _usable() -> bool:
    script = f"import sys, os; assert sys.version_info[:2] == {sys.version_info[:2]}; os.listdir({LIBRARIES!r})"
    script += f"; os.listdir({str(driver.SOURCE)!r})"
    if os.geteuid() != 0 or not os.path.exists(PYTHON):
        return False
    tried = subprocess.run(
        [PYTHON, "-c", script], user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, cwd="/"
    )
    return tried.returncode == 0


pytestmark = pytest.mark.skipif(not _usable(), reason="no Python and libraries that an ordinary user can read")


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o005 != 0o005:
            folder.chmod(0o755)
    os.chown(tmp_path, NOBODY, NOBODY)
    files = {
        "app.py": """
            import os
            from fastapi import FastAPI
            app = FastAPI()

            @app.get("/")
            def read():
                return [os.path.exists("/etc/shadow"), len([p for p in os.listdir("/proc") if p.isdigit()])]
        """
    }
    manager = driver.Manager(PYTHON, NOBODY, LIBRARIES)
    yield App(manager, tmp_path, "one", files)
    manager.close()


def manager_with(mode: str) -> driver.Manager:
    wire: dict[str, Any] = {"mode": mode, "allowed": [], "addresses": None, "mongodb": None}
    return driver.Manager(PYTHON, NOBODY, LIBRARIES, environment={"FP_NETWORK": json.dumps(wire)})


REACH = """
    import errno, socket
    from fastapi import FastAPI
    app = FastAPI()

    @app.get("/{port}")
    def reach(port: int):
        with socket.socket() as stream:
            return errno.errorcode.get(stream.connect_ex(("127.0.0.1", port)), "connected")
"""


def reach(manager: driver.Manager, folder: Path) -> str:
    """The result of an app that connects to a port on this machine's loopback."""
    for parent in (folder, *folder.parents):
        if parent.stat().st_mode & 0o005 != 0o005:
            parent.chmod(0o755)
    os.chown(folder, NOBODY, NOBODY)
    with socket.create_server(("127.0.0.1", 0)) as server:
        app = App(manager, folder, "one", {"app.py": REACH}).start().ready()
        answer: str = app.get(f"/{server.getsockname()[1]}").json()
    manager.close()
    return answer


def test_without_root_the_mode_none_is_a_network_of_its_own(tmp_path: Path) -> None:
    manager = manager_with("none")
    assert manager.hello["isolation"]["network"] == {"way": "isolated", "notes": []}
    assert reach(manager, tmp_path) == "ECONNREFUSED"


def test_without_root_the_mode_internet_is_the_machines_network_with_few_ports(tmp_path: Path) -> None:
    manager = manager_with("internet")
    sandbox = manager.hello["isolation"]
    assert sandbox["network"]["way"] == "shared"
    assert ("network", "the runner is not root") in {(one["mechanism"], one["why"]) for one in sandbox["missing"]}
    assert reach(manager, tmp_path) == ("EACCES" if landlock.limits_ports() else "connected")


def test_serves_and_stops(app: App) -> None:
    assert app.manager.hello["isolation"]["mechanisms"]["user_namespace"] is True
    assert app.manager.hello["isolation"]["minimum"] is True
    assert {missing["mechanism"] for missing in app.manager.hello["isolation"]["missing"]} >= {"own_uid"}
    assert app.start().ready().get("/").json() == [False, 1]
    assert app.stop()["reason"] == "stopped"
    app.start().ready()
    assert app.kill()["reason"] == "killed"


def test_everything_ends_when_the_manager_is_killed(app: App) -> None:
    pid = app.start().manager.wait("started", id=app.id)["pid"]
    ends = os.pidfd_open(pid)
    app.manager.process.kill()
    assert os.waitid(os.P_PID, app.manager.process.pid, os.WEXITED | os.WNOWAIT)
    assert select.select([ends], [], [], 10)[0]
    os.close(ends)
