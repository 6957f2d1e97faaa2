"""A pod of a deployed app, which reads its start request from a file."""

import gzip
import os
import re
import signal
import socket
import stat
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from conftest import MakePod
from pods import HELLO, start_request

BAD = "d = {}\nd['x']\n"


def test_the_first_probe_is_answered_once_the_app_is_ready(make_pod: MakePod) -> None:
    pod = make_pod(start_request())
    # Sent as soon as the port is open, which is long before the app is ready.
    status, headers, body = pod.ask("/_fp/ready")
    assert (status, body) == (204, "")
    timing = re.fullmatch(
        r"(?:sandbox;dur=-[\d.]+, )?interpreter;dur=([\d.]+), imported;dur=([\d.]+), ready;dur=([\d.]+)",
        headers["server-timing"],
    )
    assert timing
    times = [float(part) for part in timing.groups()]
    assert times == sorted(times)
    assert times[0] > 0
    assert times[2] < 20_000
    assert pod.get("/") == {"ok": True}
    assert pod.ask("/_fp/ready")[1]["server-timing"] == headers["server-timing"]


def test_a_pod_with_an_app_is_alive_and_refuses_claims(make_pod: MakePod) -> None:
    pod = make_pod(start_request()).ready()
    assert pod.ask("/_fp/alive")[0] == 204
    for method in ("GET", "POST"):
        status, _, body = pod.ask("/_fp/claim", method)
        assert (status, body["code"]) == (409, "FP_POD_CLAIMED")
    assert pod.ask("/_fp/ready", "POST")[0] == 404


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_listens_on_ipv4_and_ipv6(make_pod: MakePod, host: str) -> None:
    make_pod(start_request()).connect(host).close()


def test_the_apps_files_cannot_be_written(make_pod: MakePod) -> None:
    code = """
        import os, stat
        from fastapi import FastAPI
        from lib.deep.x import X
        app = FastAPI()

        @app.get("/")
        def read():
            try:
                open("app.py", "a")
            except PermissionError:
                return [X, os.getcwd(), *(oct(stat.S_IMODE(os.stat(p).st_mode)) for p in ("app.py", "lib", "lib/deep"))]
    """
    pod = make_pod(start_request(code, files={"lib/deep/x.py": "X = 'ä'\n", "static/a.txt": "static"})).ready()
    assert pod.get("/") == ["ä", str(pod.app_dir), "0o444", "0o555", "0o555"]
    assert pod.ask("/static/a.txt")[2] == "static"


def test_a_restarted_container_removes_the_files_of_the_previous_one(make_pod: MakePod) -> None:
    pod = make_pod(start_request(files={"lib/x.py": ""}), start=False)
    outside = pod.app_dir.parent / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    pod.start().ready()
    (pod.app_dir / "left").mkdir(0o500)
    (pod.app_dir / "link").symlink_to(outside)
    os.chown(pod.app_dir / "left", *(os.stat(pod.app_dir / "app.py")[4:6]))
    pod.signal(signal.SIGTERM)
    assert pod.wait() == 0
    pod.start_request.write_bytes(start_request())
    pod.start().ready()
    assert os.listdir(pod.app_dir) == ["app.py"]
    assert (outside / "kept").exists()


def test_environment_is_clean_and_complete(make_pod: MakePod) -> None:
    code = """
        import os, sys
        from fastapi import FastAPI
        app = FastAPI()

        @app.get("/")
        def read():
            return [dict(os.environ), sys.path[0], [p for p in sys.path if os.path.exists(p + "/fp_runner")], sys.argv]
    """
    pod = make_pod(start_request(code), env={"SECRET": "of the platform"}).ready()
    env, first, runner, arguments = pod.get("/")
    assert set(env) == {"NAME", "PATH", "HOME", "TMPDIR", "LANG", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}
    assert (env["NAME"], env["HOME"]) == ("value", "/tmp")
    assert (first, runner, arguments) == (str(pod.app_dir), [], ["app.py"])


def test_the_largest_environment(make_pod: MakePod) -> None:
    code = (
        "import os\n" + "from fastapi import FastAPI\napp = FastAPI()\napp.get('/')(lambda: len(os.environ['BIG']))\n"
    )
    assert make_pod(start_request(code, env={"BIG": "x" * 262_144})).ready().get("/") == 262_144


def test_imports_no_more_than_the_app_needs(make_pod: MakePod) -> None:
    code = """
        import sys
        from fastapi import FastAPI, WebSocket
        app = FastAPI()

        @app.get("/")
        def read():
            return sorted({"websockets", "fasthtml", "pymongo", "httpx", "h11"} & set(sys.modules))

        @app.websocket("/ws")
        async def echo(ws: WebSocket):
            await ws.accept()
            await ws.send_text((await ws.receive_text())[::-1])
    """
    pod = make_pod(start_request(code)).ready()
    assert pod.get("/") == []
    with connect(f"ws://127.0.0.1:{pod.port}/ws") as ws:
        ws.send("abc")
        assert ws.recv() == "cba"


def test_fasthtml_signs_with_the_platforms_key(make_pod: MakePod) -> None:
    code = """
        from fasthtml.common import fast_app
        import fasthtml.core, os
        app, rt = fast_app(live=False)

        @rt("/")
        def get():
            return fasthtml.core.get_key() + " " + " ".join(sorted(os.listdir()))
    """
    pod = make_pod(start_request(code, env={"FP_SESSION_KEY": "signs"})).ready()
    assert "signs app.py" in pod.ask("/")[2]


def test_logs_to_the_containers_two_streams(make_pod: MakePod) -> None:
    code = "import sys\nprint('out')\nprint('err', file=sys.stderr)\n" + HELLO.replace("    from", "from").replace(
        "\n    ", "\n"
    )
    pod = make_pod(start_request(code)).ready()
    assert pod.output() == "out\nerr\n"


def test_a_failed_start_is_answered_for_three_seconds(make_pod: MakePod) -> None:
    begun = os.times().elapsed
    pod = make_pod(start_request(BAD))
    status, _, failure = pod.ask("/_fp/ready")
    assert status == 500
    assert failure["code"] == "FP_APP_IMPORT_FAILED"
    assert failure["message"] == "Your app raised KeyError: 'x' in app.py line 2"
    assert (failure["file"], failure["line"]) == ("app.py", 2)
    assert "fp_runner" not in failure["traceback"]
    assert pod.ask("/anything")[::2] == (500, failure)
    assert pod.ask("/_fp/alive")[0] == 204
    assert pod.ask("/_fp/claim")[2]["code"] == "FP_POD_CLAIMED"
    assert pod.termination_message() == failure
    # Every answer until the process ends is the failure.
    asked = 0
    while pod.process and pod.process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", pod.port), timeout=20) as client:
                client.sendall(b"GET /_fp/ready HTTP/1.1\r\n\r\n")
                asked += client.recv(65536).startswith(b"HTTP/1.1 500")
        except ConnectionError:
            continue
    assert asked > 0
    assert os.times().elapsed - begun >= 3
    assert pod.wait() == 1
    assert pod.output() == failure["traceback"]


@pytest.mark.parametrize(
    ("packed", "words"),
    [
        (None, "No such file"),
        (b"not gzip", "not gzip"),
        (start_request()[:-4], "not one whole gzip stream"),
        (gzip.compress(b"{"), "not JSON"),
        (b"x" * (2 * 1024 * 1024 + 1), "not gzip"),
        (start_request(entrypoint="../app.py"), "entrypoint must be a path within"),
    ],
)
def test_an_invalid_start_request_is_a_failed_start(make_pod: MakePod, packed: bytes | None, words: str) -> None:
    pod = make_pod(packed)
    status, _, failure = pod.ask("/_fp/ready")
    assert (status, failure["code"]) == (500, "FP_SANDBOX_FAILED")
    assert words in failure["message"]
    assert pod.termination_message() == failure


def test_a_folder_that_cannot_be_written_is_a_failed_start(make_pod: MakePod) -> None:
    pod = make_pod(start_request(), start=False)
    os.chown(pod.app_dir, os.geteuid(), -1)
    pod.app_dir.chmod(0o555)
    status, _, failure = pod.start().ask("/_fp/ready")
    assert (status, failure["code"]) == (500, "FP_SANDBOX_FAILED")
    assert "files could not be written" in failure["message"]


@pytest.mark.parametrize("hold", ["", "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\n"])
def test_an_endless_start_is_ended(make_pod: MakePod, hold: str) -> None:
    pod = make_pod(start_request(hold + "while True: pass\n", limits={"start_seconds": 1}))
    status, _, failure = pod.ask("/_fp/ready")
    assert (status, failure["code"]) == (500, "FP_APP_START_TIMEOUT")
    # Only an app that does not ignore SIGALRM reports where it was.
    assert failure["line"] == (None if hold else 1)
    assert pod.termination_message() == failure


def test_a_failing_lifespan(make_pod: MakePod) -> None:
    code = """
        from contextlib import asynccontextmanager
        from fastapi import FastAPI

        @asynccontextmanager
        async def lifespan(app):
            raise RuntimeError("no database")
            yield
        app = FastAPI(lifespan=lifespan)
    """
    status, _, failure = make_pod(start_request(code)).ask("/_fp/ready")
    assert (status, failure["code"]) == (500, "FP_APP_STARTUP_FAILED")
    assert failure["message"] == "Your app raised RuntimeError: no database in app.py line 7"


@pytest.mark.parametrize(("end", "text"), [("os._exit(3)", "exit code 3"), ("os.kill(os.getpid(), 11)", "SIGSEGV")])
def test_an_app_that_ends_while_it_starts(make_pod: MakePod, end: str, text: str) -> None:
    status, _, failure = make_pod(start_request(f"import os\n{end}\n")).ask("/_fp/ready")
    assert (status, failure["code"]) == (500, "FP_APP_CRASHED")
    assert text in failure["message"]


def test_check_mode_reports_the_app_and_ends(make_pod: MakePod) -> None:
    pod = make_pod(start_request(mode="check"))
    assert pod.wait() == 0
    assert pod.termination_message() == {"ok": True, "kind": "fastapi"}
    failing = make_pod(start_request(BAD, mode="check"))
    assert failing.wait() == 1
    assert failing.termination_message()["code"] == "FP_APP_IMPORT_FAILED"


def test_a_termination_message_is_complete_json_of_at_most_4096_bytes(make_pod: MakePod) -> None:
    code = "def f(n):\n    if n: return f(n - 1)\n    raise ValueError('ä\"\\n' * 1500)\nf(40)\n"
    pod = make_pod(start_request(code))
    _, _, failure = pod.ask("/_fp/ready")
    words = pod.termination_message()
    assert 3500 < pod.termination_log.stat().st_size <= 4096
    assert words | {"traceback": "", "message": ""} == failure | {"traceback": "", "message": ""}
    assert words["message"].startswith("Your app raised ValueError: ä")


def test_a_termination_message_has_both_ends_of_a_traceback(make_pod: MakePod) -> None:
    lines = "".join(f"def f{n}():\n    f{n - 1}()\n" for n in range(1, 120))
    pod = make_pod(start_request("def f0():\n    raise ValueError('the reason')\n" + lines + "f119()\n"))
    _, _, failure = pod.ask("/_fp/ready")
    words = pod.termination_message()
    assert 3900 < pod.termination_log.stat().st_size <= 4096
    assert len(failure["traceback"]) > 4096
    assert words["traceback"].startswith("Traceback (most recent call last)")
    assert words["traceback"].endswith("ValueError: the reason\n")
    assert "… cut …" in words["traceback"]


SANDBOX = """
    import ctypes, errno, os, resource, socket
    from fastapi import FastAPI
    app = FastAPI()
    libc = ctypes.CDLL(None, use_errno=True)

    def refused(work):
        try:
            work()
        except OSError as error:
            return errno.errorcode[error.errno]

    def call(name, *arguments):
        if getattr(libc, name)(*arguments) < 0:
            raise OSError(ctypes.get_errno(), name)

    @app.get("/")
    def read():
        status = dict(line.split(":", 1) for line in open("/proc/self/status"))
        parent = f"/proc/{os.getppid()}"
        return {
            "status": {name: status[name].strip() for name in ("Seccomp", "NoNewPrivs")},
            "limits": [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE,
                       resource.RLIMIT_CORE, resource.RLIMIT_MSGQUEUE)],
            "own": len(open("/proc/self/environ").read()) > 0,
            "refused": [refused(work) for work in (
                lambda: open(f"{parent}/environ").read(),
                lambda: open(f"{parent}/mem"),
                lambda: os.listdir(f"{parent}/fd"),
                lambda: libc.syscall(425, 1, 0) < 0 and call("syscall", 425, 1, 0),
                lambda: call("unshare", 0x10000000),
                lambda: call("ptrace", 16, os.getppid(), 0, 0),
                lambda: socket.create_server(("127.0.0.1", 0)),
            )],
            "fds": [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                    if os.path.lexists(f"/proc/self/fd/{fd}")],
        }
"""


@pytest.mark.parametrize("wait", [False, True])
def test_the_runner_restricts_the_app_further_than_the_container(make_pod: MakePod, wait: bool) -> None:
    packed = start_request(SANDBOX, limits={"file_bytes": 1_000_000, "open_files": 99})
    pod = make_pod(None if wait else packed, wait=wait)
    if wait:
        assert pod.claim(packed)[0] == 200
    seen: dict[str, Any] = pod.ready().get("/")
    assert seen["status"] == {"Seccomp": "2", "NoNewPrivs": "1"}
    assert seen["limits"] == [1_000_000, 99, 0, 0]
    assert seen["own"] is True
    assert seen["refused"] == ["EACCES", "EACCES", "EACCES", "EPERM", "EPERM", "EPERM", "EACCES"]
    assert not [name for name in seen["fds"] if str(pod.start_request) in name]


def test_the_supervisor_drops_its_own_privileges(make_pod: MakePod) -> None:
    pod = make_pod(start_request()).ready()
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pod.pid}/status").read_text().splitlines())
    assert (status["NoNewPrivs"].strip(), status["Seccomp"].strip()) == ("1", "2")
    # The process is not dumpable, so its files in /proc belong to root.
    assert os.stat(f"/proc/{pod.pid}/environ").st_uid == 0 or os.geteuid() != 0
    assert stat.S_ISREG(os.stat(f"/proc/{pod.pid}/environ").st_mode)


def test_a_pod_refuses_to_run_as_root(make_pod: MakePod) -> None:
    if os.geteuid() != 0:
        pytest.skip("not root")
    pod = make_pod(start_request(), start=False)
    pod.start(user=None, group=None, extra_groups=None)
    assert pod.wait() == 1
    assert "must not run as root" in pod.output()


@pytest.mark.parametrize(
    ("argument", "words"), [("--what", "unknown option --what"), ("--wait", "needs the key of the pod")]
)
def test_an_invalid_command_line_is_reported(make_pod: MakePod, argument: str, words: str) -> None:
    pod = make_pod(start_request(), start=False)
    pod.command.append(argument)
    pod.start()
    assert pod.wait() == 1
    assert words in pod.output()
    message = pod.termination_message()
    assert message["code"] == "FP_SANDBOX_FAILED"
    assert words in message["message"]


def test_an_empty_key_is_refused(make_pod: MakePod) -> None:
    pod = make_pod(wait=True, env={"FP_POD_KEY": "\n"})
    assert pod.wait() == 1
    assert "FP_POD_KEY is empty" in pod.termination_message()["message"]
