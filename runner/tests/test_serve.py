"""Starts, serves and stops apps with a real manager."""

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import unix_connect

import driver
from conftest import App, MakeApp

HELLO = """
    from fastapi import FastAPI
    app = FastAPI()

    @app.get("/")
    async def read():
        return {"ok": True}
"""


def test_hello_reports_the_sandbox(shared_manager: driver.Manager) -> None:
    sandbox = shared_manager.hello["isolation"]
    assert sandbox["minimum"] is True
    assert set(sandbox["mechanisms"]) - {m["mechanism"] for m in sandbox["missing"]} == {
        name for name, there in sandbox["mechanisms"].items() if there
    }


def test_starts_serves_and_stops(make_app: MakeApp) -> None:
    app = make_app(HELLO).start()
    assert app.manager.wait("started", id=app.id)["pid"] > 1
    times = [
        app.manager.wait("phase", id=app.id, phase=phase)["ms"]
        for phase in ("forked", "sandboxed", "imported", "started", "ready")
    ]
    assert times == sorted(times)
    assert app.get("/").json() == {"ok": True}
    assert oct(app.socket.stat().st_mode & 0o777) == "0o600"
    assert app.stop() == {
        "event": "exited",
        "id": app.id,
        "code": 0,
        "signal": None,
        "reason": "stopped",
        "message": "The app was stopped.",
    }
    assert not app.socket.exists()


def test_requests_wait_in_the_backlog_while_the_app_starts(make_app: MakeApp) -> None:
    app = make_app("import time\ntime.sleep(0.3)\n" + "from fastapi import FastAPI\napp = FastAPI()\n").start()
    app.manager.wait("started", id=app.id)
    assert app.get("/_fp/ready").status_code == 204


def test_the_ready_path_answers_only_get(make_app: MakeApp) -> None:
    app = make_app(HELLO).start().ready()
    with driver.client(app.socket) as client:
        assert client.get("/_fp/ready").status_code == 204
        assert client.post("/_fp/ready").status_code == 404


def test_lifespan_runs_on_both_ends(make_app: MakeApp) -> None:
    code = """
        from contextlib import asynccontextmanager
        from fastapi import FastAPI

        @asynccontextmanager
        async def lifespan(app):
            print("up")
            yield
            print("down")
        app = FastAPI(lifespan=lifespan)
    """
    app = make_app(code).start().ready()
    app.stop()
    assert app.output() == "up\ndown\n"


def test_environment_is_clean_and_complete(make_app: MakeApp) -> None:
    code = """
        import os, sys, random
        from fastapi import FastAPI
        app = FastAPI()

        @app.get("/")
        def read():
            return {"env": dict(os.environ), "cwd": os.getcwd(), "random": random.random(), "uid": os.getuid(),
                    "groups": os.getgroups(), "fds": len(os.listdir("/proc/self/fd")), "path": sys.path[0],
                    "runner": [p for p in sys.path if p.endswith("runner/src")]}
    """
    one = make_app(code).start().ready()
    two = make_app(code, name="two").start().ready()
    first, second = one.get("/").json(), two.get("/").json()
    assert set(first["env"]) == {
        "GREETING", "PORT", "PATH", "HOME", "TMPDIR", "LANG", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED",
    }  # fmt: skip
    assert first["cwd"] == first["path"] == "/app"
    assert first["runner"] == first["groups"] == []
    assert first["uid"] == one.uid
    assert first["random"] != second["random"]
    assert first["fds"] < 20


def test_the_largest_environment(make_app: MakeApp) -> None:
    code = "import os\nfrom fastapi import FastAPI\napp = FastAPI()\napp.get('/')(lambda: len(os.environ['BIG']))\n"
    assert make_app(code).start(env={"BIG": "x" * 262_144}).ready().get("/").json() == 262_144


def test_streams_and_server_sent_events(make_app: MakeApp) -> None:
    code = """
        import asyncio
        from fastapi import FastAPI
        from fastapi.responses import StreamingResponse
        app = FastAPI()

        @app.get("/events")
        async def events():
            async def lines():
                for number in range(3):
                    yield f"data: {number}\\n\\n"
                    await asyncio.sleep(0)
            return StreamingResponse(lines(), media_type="text/event-stream")
    """
    app = make_app(code).start().ready()
    with driver.client(app.socket) as client, client.stream("GET", "/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert "".join(answer.iter_text()) == "data: 0\n\ndata: 1\n\ndata: 2\n\n"
        assert "server" not in answer.headers
        assert "date" in answer.headers


def test_an_upload_and_the_client_that_the_platform_names(make_app: MakeApp) -> None:
    code = """
        from fastapi import FastAPI, Request, UploadFile
        app = FastAPI()

        @app.post("/")
        async def write(file: UploadFile, request: Request):
            return [len(await file.read()), file.filename, request.client.host, request.url.scheme]
    """
    app = make_app(code).start().ready()
    headers = {"fp-client": "203.0.113.7 50123 https app-a.example 443 1.1", "X-Forwarded-For": "192.0.2.66"}
    with driver.client(app.socket) as client:
        answer = client.post("/", files={"file": ("a.bin", b"x" * 3_000_000)}, headers=headers)
    assert answer.json() == [3_000_000, "a.bin", "203.0.113.7", "https"]


def test_web_socket(make_app: MakeApp) -> None:
    code = """
        from fastapi import FastAPI, WebSocket
        app = FastAPI()

        @app.websocket("/ws")
        async def echo(ws: WebSocket):
            await ws.accept()
            await ws.send_text((await ws.receive_text())[::-1])
            await ws.close()
    """
    app = make_app(code).start().ready()

    async def talk() -> str | bytes:
        async with unix_connect(str(app.socket), "ws://app/ws") as ws:
            await ws.send("abc")
            return await ws.recv()

    assert asyncio.run(talk()) == "cba"


def test_stop_finishes_requests_and_background_tasks(make_app: MakeApp) -> None:
    code = """
        import asyncio
        from fastapi import BackgroundTasks, FastAPI
        app = FastAPI()

        async def later():
            await asyncio.sleep(0.3)
            print("background done")

        @app.get("/task")
        async def task(tasks: BackgroundTasks):
            tasks.add_task(later)
            return "soon"

        @app.get("/slow")
        async def slow():
            print("slow begun")
            await asyncio.sleep(0.3)
            return "slow done"
    """
    app = make_app(code).start().ready()
    answers: list[Any] = []
    with driver.client(app.socket) as client:
        client.get("/task")
        thread = _in_thread(lambda: answers.append(app.get("/slow").json()))
        while "slow begun" not in app.output():
            assert client.get("/_fp/ready").status_code == 204
        assert app.stop()["reason"] == "stopped"
    thread.join()
    assert answers == ["slow done"]
    assert "background done" in app.output()


def test_stop_kills_after_the_grace_period(make_app: MakeApp) -> None:
    code = """
        import signal, time
        from fastapi import FastAPI
        app = FastAPI()

        @app.get("/")
        async def hang():
            print("hanging")
            time.sleep(60)
    """
    app = make_app(code).start().ready()
    thread = _in_thread(lambda: _breaks_off(app))
    _until(lambda: "hanging" in app.output())
    gone = app.stop(grace_ms=200)
    thread.join()
    assert (gone["reason"], gone["signal"]) == ("killed", "SIGKILL")


def test_errors_in_handlers_are_logged_with_paths_relative_to_the_app(make_app: MakeApp) -> None:
    code = """
        from fastapi import FastAPI
        app = FastAPI()

        @app.get("/")
        async def read():
            return {}["missing"]
    """
    app = make_app(code).start().ready()
    assert app.get("/").status_code == 500
    app.stop()
    assert 'File "app.py", line 7, in read' in app.output()
    assert "KeyError: 'missing'" in app.output()
    assert "fp_runner" not in app.output()
    assert "/site-packages/" not in app.output()


def test_orphans_are_reaped_and_own_children_are_not(make_app: MakeApp) -> None:
    code = """
        import os, subprocess, sys
        from fastapi import FastAPI
        app = FastAPI()

        @app.get("/")
        def read():
            # A grandchild that outlives its parent, and a child whose exit code matters.
            subprocess.run([sys.executable, "-c", "import os; os.fork() or os._exit(0)"], check=True)
            return subprocess.run([sys.executable, "-c", "raise SystemExit(7)"]).returncode

        @app.get("/zombies")
        def zombies():
            states = [open(f"/proc/{p}/stat").read().split()[2] for p in os.listdir("/proc") if p.isdigit()]
            return states.count("Z")
    """
    app = make_app(code).start().ready()
    assert app.get("/").json() == 7
    _until(lambda: app.get("/zombies").json() == 0)


def _breaks_off(app: App) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        app.get("/")


def _in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def _until(true: Callable[[], bool]) -> None:
    for _ in range(10_000_000):
        if true():
            return
    raise AssertionError(json.dumps("it never came true"))


def test_the_request_after_an_exception_is_answered_on_the_same_connection(make_app: MakeApp) -> None:
    code = """
        from fastapi import FastAPI
        app = FastAPI()

        @app.get("/fail")
        def fail():
            return {}["missing"]

        @app.get("/")
        def read():
            return "well"
    """
    app = make_app(code).start().ready()
    with driver.client(app.socket) as client:
        for _ in range(5):
            assert client.get("/fail").status_code == 500
            assert client.get("/").json() == "well"
    assert app.output().count("KeyError: 'missing'") == 5
