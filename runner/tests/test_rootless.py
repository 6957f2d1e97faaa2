"""A runner without root: through user namespaces, with the system's Python, which any user can run."""

import os
import select
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

import driver
from conftest import App

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


def test_serves_and_stops(app: App) -> None:
    assert app.manager.hello["sandbox"]["means"]["user_namespace"] is True
    assert app.manager.hello["sandbox"]["minimum"] is True
    assert {missing["mean"] for missing in app.manager.hello["sandbox"]["missing"]} >= {"own_uid"}
    assert app.start().ready().get("/").json() == [False, 1]
    assert app.stop()["reason"] == "stopped"
    app.start().ready()
    assert app.kill()["reason"] == "killed"


def test_a_killed_zygote_takes_everything_along(app: App) -> None:
    pid = app.start().manager.wait("started", id=app.id)["pid"]
    ends = os.pidfd_open(pid)
    app.manager.process.kill()
    assert os.waitid(os.P_PID, app.manager.process.pid, os.WEXITED | os.WNOWAIT)
    assert select.select([ends], [], [], 10)[0]
    os.close(ends)
