"""What an app's owner is told if the app does not start, or if it ends by itself."""

from pathlib import Path

import httpx
import pytest

from conftest import MakeApp

FINE = "from fastapi import FastAPI\napp = FastAPI()\n"


@pytest.mark.parametrize(
    ("code", "expected", "message", "line"),
    [
        ("x = 1\ndef f(:\n", "FP_APP_IMPORT_FAILED", "Your app raised SyntaxError: invalid syntax in app.py line 2", 2),
        (
            "import nowhere\n",
            "FP_APP_IMPORT_FAILED",
            "Your app raised ModuleNotFoundError: No module named 'nowhere' in app.py line 1",
            1,
        ),
        ("d = {}\nd['x']\n", "FP_APP_IMPORT_FAILED", "Your app raised KeyError: 'x' in app.py line 2", 2),
        (
            "import sys\nsys.exit(3)\n",
            "FP_APP_IMPORT_FAILED",
            "Your app ended itself with exit code 3 while it was imported in app.py line 2.",
            2,
        ),
        (
            "x = 1\n",
            "FP_APP_NOT_FOUND_IN_CODE",
            "app.py has no app: define `app = FastAPI()` or `app, rt = fast_app()` in it.",
            None,
        ),
        (
            "app = 5\n",
            "FP_APP_NOT_FOUND_IN_CODE",
            "app.py has no app: define `app = FastAPI()` or `app, rt = fast_app()` in it. Its `app` is of type int.",
            None,
        ),
        (
            "def create_app(name): ...\n",
            "FP_APP_NOT_FOUND_IN_CODE",
            "create_app() in app.py needs arguments (name); give them defaults.",
            None,
        ),
    ],
)
def test_import_failures(make_app: MakeApp, code: str, expected: str, message: str, line: int | None) -> None:
    app = make_app(code).start()
    failure = app.failed()
    assert (failure["code"], failure["message"]) == (expected, message)
    assert (failure["file"], failure["line"]) == ("app.py", line)
    assert "fp_runner" not in failure["traceback"]
    assert "/app/" not in failure["traceback"]
    assert not app.socket.exists()


def test_a_failure_deep_in_a_module_names_that_module(make_app: MakeApp) -> None:
    files = {"app.py": "from lib.deep import x\n", "lib/deep.py": "import json\njson.loads('{')\nx = 1\n"}
    failure = make_app(files=files).start().failed()
    assert (failure["file"], failure["line"]) == ("lib/deep.py", 2)
    assert 'File "app.py", line 1, in <module>' in failure["traceback"]
    assert 'File "json/' in failure["traceback"]


def test_the_carets_of_a_traceback_mark_the_failed_expression(make_app: MakeApp) -> None:
    app = make_app("def half(x):\n    return [x / 0]\nhalf(1)\n").start()
    lines = app.failed()["traceback"].splitlines()
    at = lines.index("    return [x / 0]")
    assert lines[at + 1] == "            ~~^~~"


def test_an_endless_import_is_ended_and_located(make_app: MakeApp) -> None:
    failure = make_app("x = 1\nwhile True:\n    x += 1\n").start(limits={"start_seconds": 1}).failed()
    assert failure["code"] == "FP_APP_START_TIMEOUT"
    assert failure["message"].startswith("Your app was not imported within 1 s; it was still busy in app.py line ")
    assert failure["file"] == "app.py"
    assert failure["line"] in (2, 3)


def test_an_endless_import_that_ignores_the_interrupt_is_killed(make_app: MakeApp) -> None:
    code = "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass\n"
    app = make_app(code).start(limits={"start_seconds": 1})
    assert app.manager.wait("failed", id=app.id)["failure"]["code"] == "FP_APP_START_TIMEOUT"
    gone = app.exited()
    assert (gone["reason"], gone["signal"]) == ("killed", "SIGKILL")


def test_a_failing_lifespan(make_app: MakeApp) -> None:
    code = """
        from contextlib import asynccontextmanager
        from fastapi import FastAPI

        @asynccontextmanager
        async def lifespan(app):
            raise RuntimeError("no database")
            yield
        app = FastAPI(lifespan=lifespan)
    """
    app = make_app(code).start()
    failure = app.failed()
    assert failure["code"] == "FP_APP_STARTUP_FAILED"
    assert failure["message"] == "Your app raised RuntimeError: no database in app.py line 7"
    assert app.output().count("RuntimeError: no database") == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"app_dir": "/nowhere/at/all"}, "the folder /nowhere/at/all does not exist"),
        ({"app_dir": "relative"}, "app_dir must be an absolute path"),
        ({"uid": 0}, "uid, a positive number"),
        ({"limits": {"pids": None}}, "limits.pids must be a positive number"),
        ({"limits": {"cpus": 0}}, "limits.cpus must be a positive number"),
        ({"log": "/nowhere/x.log"}, "No such file"),
        ({"env": {"A": 1}}, "env must map"),
        ({"socket": "/" + "x" * 200}, "too long"),
    ],
)
def test_an_invalid_start_request_fails(make_app: MakeApp, change: dict[str, object], words: str) -> None:
    app = make_app(FINE).start(**change)
    failure = app.failed()
    assert failure["code"] == "FP_SANDBOX_FAILED"
    assert words in failure["message"]


@pytest.mark.parametrize("entrypoint", ["missing.py", "../app.py", "notes.txt"])
def test_an_invalid_entrypoint_fails(make_app: MakeApp, entrypoint: str) -> None:
    app = make_app(files={"app.py": FINE, "notes.txt": ""}).start(entrypoint=entrypoint)
    assert app.failed()["code"] == "FP_APP_NOT_FOUND_IN_CODE"


ENDS = """
    import ctypes, os, sys
    from fastapi import FastAPI
    app = FastAPI()

    @app.get("/os_exit")
    async def os_exit(): os._exit(7)

    @app.get("/sys_exit")
    async def sys_exit(): sys.exit(3)

    @app.get("/exit_zero")
    async def exit_zero(): os._exit(0)

    @app.get("/segfault")
    async def segfault(): ctypes.string_at(0)
"""


@pytest.mark.parametrize(
    ("path", "code", "signal", "reason"),
    [
        ("/os_exit", 7, None, "crashed"),
        ("/exit_zero", 0, None, "exited"),
        ("/segfault", None, "SIGSEGV", "crashed"),
    ],
)
def test_an_app_that_ends_itself(make_app: MakeApp, path: str, code: int | None, signal: str, reason: str) -> None:
    app = make_app(ENDS).start().ready()
    with pytest.raises(httpx.TransportError):
        app.get(path)
    gone = app.exited()
    assert (gone["code"], gone["signal"], gone["reason"]) == (code, signal, reason)
    assert not app.socket.exists()


def test_sys_exit_in_a_handler_is_an_error_of_that_request(make_app: MakeApp) -> None:
    app = make_app(ENDS).start().ready()
    assert app.get("/sys_exit").status_code == 500
    assert app.get("/_fp/ready").status_code == 204


def test_kill_and_restart_under_the_same_id(make_app: MakeApp) -> None:
    app = make_app(FINE).start().ready()
    assert app.kill()["reason"] == "killed"
    assert app.start().ready().get("/_fp/ready").status_code == 204


def test_stop_while_importing(make_app: MakeApp, tmp_path: Path) -> None:
    app = make_app("import time\nprint('in')\ntime.sleep(60)\n").start()
    while not app.log.exists() or "in" not in app.output():
        pass
    assert app.stop()["reason"] == "stopped"


def test_an_app_that_fails_while_it_is_stopped_has_crashed(make_app: MakeApp) -> None:
    code = FINE + "import os\n@app.on_event('shutdown')\ndef bye(): os._exit(3)\n"
    gone = make_app(code).start().ready().stop()
    assert (gone["reason"], gone["code"]) == ("crashed", 3)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("from fasthtml.common import *\nCard(P('x'))\n", "write `from fasthtml.pico import *`"),
        ("from fasthtml.common import *\ndef f(): return Rect(1, 1)\nf()\n", "write `from fasthtml.svg import *`"),
        ("json.dumps(1)\n", "write `import json`"),
    ],
)
def test_an_undefined_name_says_what_to_import(make_app: MakeApp, code: str, words: str) -> None:
    failure = make_app(code).start().failed()
    assert failure["code"] == "FP_APP_IMPORT_FAILED"
    assert words in failure["message"]
    assert words in failure["traceback"]


@pytest.mark.parametrize("code", ["Card()\n", "def f():\n    json.x\n    json = 1\nf()\n", "undefined_thing\n"])
def test_an_undefined_name_that_no_module_has_gets_no_advice(make_app: MakeApp, code: str) -> None:
    assert "write `" not in make_app(code).start().failed()["message"]


def test_an_undefined_name_in_a_request_is_explained_in_the_log(make_app: MakeApp) -> None:
    code = """
        from fasthtml.common import *
        app, rt = fast_app()

        @rt("/")
        def get(): return Card()
    """
    app = make_app(code).start().ready()
    assert app.get("/").status_code == 500
    app.stop()
    assert "write `from fasthtml.pico import *`" in app.output()
