"""How a pod ends: stopped, by itself, or because its memory ran out."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pods
from conftest import LIMITS, MakePod
from fp_runner import cgroups, tcp
from fp_runner.limits import Limits
from pods import HELLO, start_request, until, wait_gone

ENDS = """
    import ctypes, os, sys
    from fastapi import FastAPI
    app = FastAPI()

    @app.get("/os_exit")
    async def os_exit(): os._exit(7)

    @app.get("/exit_zero")
    async def exit_zero(): os._exit(0)

    @app.get("/segfault")
    async def segfault(): ctypes.string_at(0)

    @app.get("/memory")
    async def memory():
        held = []
        while True: held.append(b"x" * 1_000_000)
"""
# Requests that last until the test ends them. The app prints its shutdown.
SLOW = """
    import asyncio, os, signal, socket, time
    from contextlib import asynccontextmanager
    from fastapi import FastAPI

    @asynccontextmanager
    async def lifespan(app):
        yield
        print("down", flush=True)

    app = FastAPI(lifespan=lifespan)

    @app.get("/slow")
    async def slow():
        reader, writer = await asyncio.open_unix_connection(os.environ["GATE"])
        await reader.read()
        writer.close()
        return "slow done"

    @app.get("/quick")
    async def quick():
        return "quick done"

    @app.get("/block")
    async def block():
        # Accepts no connection meanwhile. Ends once SIGTERM has arrived and been handled as usual.
        told, usual = [], signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, lambda *what: told.append(usual(*what)))
        with socket.socket(socket.AF_UNIX) as gate:
            gate.connect(os.environ["GATE"])
            gate.recv(1)
        while not told:
            time.sleep(0.001)
        return "block done"
"""


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[socket.socket]:
    folder = tmp_path / "gate"
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
        (folder / "s").chmod(0o777)
        listener.listen()
        listener.settimeout(20)
        yield listener


def _slow(gate: socket.socket, **more: Any) -> bytes:
    return start_request(SLOW, env={"GATE": str(gate.getsockname())}, **more)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/os_exit", "The app ended itself with exit code 7."),
        ("/exit_zero", "The app ended by itself."),
        ("/segfault", "The app crashed with SIGSEGV."),
    ],
)
@pytest.mark.parametrize("wait", [False, True])
def test_an_app_that_ends_itself_ends_the_pod(make_pod: MakePod, path: str, text: str, wait: bool) -> None:
    pod = make_pod(None if wait else start_request(ENDS), wait=wait)
    if wait:
        assert pod.claim(start_request(ENDS))[0] == 200
    with pytest.raises(ConnectionError):
        pod.ready().ask(path)
    assert pod.wait() == 1
    expected = {"code": "FP_APP_CRASHED", "message": text, "traceback": "", "file": None, "line": None}
    assert pod.termination_message() == expected
    assert text in pod.output()


def test_a_kill_by_the_machine_is_a_crash(make_pod: MakePod) -> None:
    pod = make_pod(start_request()).ready()
    os.kill(pod.app_pid(), signal.SIGKILL)
    assert pod.wait() == 1
    words = pod.termination_message()
    assert (words["code"], words["message"]) == ("FP_APP_CRASHED", "The app was killed by the machine.")


def test_out_of_memory(make_pod: MakePod) -> None:
    groups = cgroups.detect(os.getpid())
    if "memory" not in groups.folders:
        pytest.skip("no memory cgroup can be made here")
    groups.create("pod")
    groups.limit("pod", Limits(**LIMITS | {"memory_bytes": 200 * 1024 * 1024, "pids": 100}))
    try:
        pod = make_pod(start_request(ENDS), start=False)
        joins = [f"echo $$ > {folder}/pod/cgroup.procs" for folder in set(groups.folders.values())]
        pod.start(**_by_root(pod, "sh", "-c", " && ".join([*joins, 'exec "$@"']), "sh"))
        with pytest.raises(ConnectionError):
            pod.ready().ask("/memory")
        assert pod.wait() == 1
        words = pod.termination_message()
        assert (words["code"], words["message"]) == (
            "FP_APP_OUT_OF_MEMORY",
            "The app used more than its memory and was ended.",
        )
    finally:
        until(lambda: groups.remove("pod"))
        groups.remove_folders()


def _by_root(pod: pods.Pod, *wrapper: str) -> dict[str, Any]:
    """Starts a pod as its usual user through a wrapper that needs root."""
    user = ["setpriv", f"--reuid={pods.UID}", f"--regid={pods.UID}", "--clear-groups"]
    return {"command": [*wrapper, *user, *pod.command], "user": None, "group": None, "extra_groups": None}


@pytest.mark.parametrize(("version", "file"), [(1, "memory.oom_control"), (2, "memory.events")])
def test_both_versions_of_cgroups_count_oom_kills(tmp_path: Path, version: int, file: str) -> None:
    assert cgroups.read_oom_kills(str(tmp_path), version) == 0
    (tmp_path / file).write_text("low 1\nunder_oom 0\noom 7\noom_kill 3\noom_group_kill 0\n")
    assert cgroups.read_oom_kills(str(tmp_path), version) == 3


def test_a_stopping_pod_finishes_its_requests(make_pod: MakePod, gate: socket.socket) -> None:
    pod = make_pod(_slow(gate)).ready()
    idle = pod.client()
    assert pod.ask("/quick", client=idle)[0] == 200
    slow = pod.client()
    slow.request("GET", "/slow")
    held, _ = gate.accept()
    pod.signal(signal.SIGTERM)
    # New connections are refused while the pod finishes.
    until(lambda: _is_refused(pod.port))
    assert pod.process
    assert pod.process.poll() is None
    held.close()
    answer = slow.getresponse()
    assert (answer.status, answer.read()) == (200, b'"slow done"')
    assert pod.wait() == 0
    assert pod.termination_message() is None
    assert pod.output() == "down\n"


def _is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=20).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        # The connection was made just as the port was closed.
        return False
    return False


def test_a_stopping_pod_answers_the_requests_in_its_backlog(make_pod: MakePod, gate: socket.socket) -> None:
    pod = make_pod(_slow(gate)).ready()
    block = pod.client()
    block.request("GET", "/block")
    held, _ = gate.accept()
    waiting = [pod.client() for _ in range(20)]
    for client in waiting[:15]:
        client.request("GET", "/quick")
    held.close()
    pod.signal(signal.SIGTERM)
    assert block.getresponse().status == 200
    # These connections were made before the port was closed, but have sent no request yet.
    until(lambda: _is_refused(pod.port))
    for client in waiting[15:]:
        assert pod.ask("/quick", client=client)[0] == 200
    for client in waiting[:15]:
        assert client.getresponse().status == 200
    assert pod.wait() == 0


def test_closing_the_port_accepts_all_connections_in_its_backlog() -> None:
    listener = tcp.listen(0)
    address = ("127.0.0.1", listener.getsockname()[1])
    waiting = [socket.create_connection(address) for _ in range(20)]
    accepted = tcp.close_port(listener)
    assert [connection.getpeername()[1] for connection in accepted] == [client.getsockname()[1] for client in waiting]
    assert _is_refused(address[1])
    for connection in (listener, *waiting, *accepted):
        connection.close()


def test_after_the_grace_period_the_app_is_killed(make_pod: MakePod, gate: socket.socket) -> None:
    pod = make_pod(_slow(gate), env={"FP_STOP_GRACE_S": "0.3"}).ready()
    block = pod.client()
    block.request("GET", "/block")
    held, _ = gate.accept()
    app = pod.app_pid()
    pod.signal(signal.SIGTERM)
    assert pod.wait() == 1
    wait_gone(app)
    held.close()
    assert pod.termination_message() is None
    assert "The app had not ended after 0.3 seconds and was killed" in pod.output()


def test_lifespan_shutdown_has_a_reserved_part_of_the_grace_period(make_pod: MakePod, gate: socket.socket) -> None:
    pod = make_pod(_slow(gate), env={"FP_STOP_GRACE_S": "2"}).ready()
    slow = pod.client()
    slow.request("GET", "/slow")
    held, _ = gate.accept()
    pod.signal(signal.SIGTERM)
    assert pod.wait() == 0
    held.close()
    assert "down\n" in pod.output()


def test_a_crash_of_a_stopping_app_is_reported(make_pod: MakePod) -> None:
    code = (
        HELLO
        + """
    import os
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def lifespan(app):
        yield
        os._exit(9)
    app.router.lifespan_context = lifespan
    """
    )
    pod = make_pod(start_request(code)).ready()
    pod.signal(signal.SIGTERM)
    assert pod.wait() == 1
    assert pod.termination_message()["message"] == "The app ended itself with exit code 9."


def test_stopping_a_waiting_pod(make_pod: MakePod) -> None:
    pod = make_pod(wait=True)
    assert pod.ask("/_fp/alive")[0] == 204
    app = pod.app_pid()
    pod.signal(signal.SIGTERM)
    assert pod.wait() == 0
    wait_gone(app)
    assert pod.termination_message() is None


def test_stopping_a_starting_pod(make_pod: MakePod) -> None:
    pod = make_pod(start_request("print('in', flush=True)\nimport time\ntime.sleep(60)\n"))
    until(lambda: "in" in pod.output())
    app = pod.app_pid()
    pod.signal(signal.SIGTERM)
    assert pod.wait() == 0
    wait_gone(app)
    assert pod.termination_message() is None


def test_stopping_a_pod_after_a_failed_start(make_pod: MakePod) -> None:
    pod = make_pod(start_request("x ="))
    assert pod.ask("/_fp/ready")[0] == 500
    pod.signal(signal.SIGTERM)
    assert pod.wait(2) == 1


def test_the_app_ends_with_its_supervisor(make_pod: MakePod) -> None:
    for pod in (make_pod(start_request()).ready(), make_pod(wait=True)):
        pod.ask("/_fp/alive")
        app = pod.app_pid()
        pod.signal(signal.SIGKILL)
        pod.wait()
        wait_gone(app)


ORPHANS = '''
    import os, subprocess, sys
    from fastapi import FastAPI
    app = FastAPI()

    @app.get("/")
    def read():
        # Grandchildren that outlive their parents, and a child whose exit code matters.
        for _ in range(20):
            subprocess.run([sys.executable, "-S", "-c", "import os; os.fork() or os._exit(0)"], check=True)
        code = subprocess.run([sys.executable, "-S", "-c", "raise SystemExit(7)"]).returncode
        # The last orphan prints its new parent.
        told = subprocess.run([sys.executable, "-S", "-c", ORPHAN], capture_output=True, check=True)
        return [code, int(told.stdout)]

    ORPHAN = """if 1:
        import os, time
        parent = os.getpid()
        if os.fork():
            os._exit(0)
        while os.getppid() == parent:
            time.sleep(0.001)
        print(os.getppid(), flush=True)
    """
'''


def test_orphans_are_reaped(make_pod: MakePod) -> None:
    pod = make_pod(start_request(ORPHANS)).ready()
    assert pod.get("/") == [7, pod.pid]
    children = Path(f"/proc/{pod.pid}/task/{pod.pid}/children")
    until(lambda: len(children.read_text().split()) == 1)
    assert pod.get("/") == [7, pod.pid]


@pytest.fixture
def first(make_pod: MakePod) -> Any:
    """Starts a pod whose first process is pid 1, as in a container. Returns the pod and the process to signal."""
    if os.geteuid() != 0:
        pytest.skip("needs root for a pid namespace")

    def make(packed: bytes | None = None, **more: Any) -> tuple[pods.Pod, int]:
        pod = make_pod(packed, start=False, **more)
        pod.start(**_by_root(pod, "unshare", "--pid", "--fork", "--kill-child", "--mount-proc"))
        pod.ask("/_fp/alive")
        return pod, pod.app_pid()

    return make


def test_as_pid_1_of_a_container(first: Any) -> None:
    pod, pid = first(start_request(ORPHANS))
    assert pod.ready().get("/") == [7, 1]
    os.kill(pid, signal.SIGTERM)
    # unshare exits with the status of its child.
    assert pod.wait() == 0
    pod, pid = first(wait=True)
    os.kill(pid, signal.SIGTERM)
    assert pod.wait() == 0
    pod, _ = first(wait=True)
    assert pod.claim(start_request(ENDS))[0] == 200
    with pytest.raises(ConnectionError):
        pod.ask("/os_exit")
    assert pod.wait() == 1
    assert pod.termination_message()["code"] == "FP_APP_CRASHED"


def test_a_remaining_child_of_the_app_does_not_keep_the_pod_running(make_pod: MakePod) -> None:
    code = """
        import os, subprocess, sys
        from fastapi import FastAPI
        app = FastAPI()

        @app.get("/")
        def read():
            child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
            print(child.pid, flush=True)
            os._exit(7)
    """
    pod = make_pod(start_request(code)).ready()
    with pytest.raises(ConnectionError):
        pod.ask("/")
    assert pod.wait() == 1
    # In a container the kernel would kill this process with pid 1.
    left = int(pod.output().split()[0])
    subprocess.run(["kill", f"{left}"], check=True)
