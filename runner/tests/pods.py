"""Drives a real pod's first process over TCP, as the platform and kubelet do."""

import gzip
import hashlib
import hmac
import http.client
import json
import os
import select
import socket
import subprocess
import sys
import sysconfig
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import driver

KEY = hashlib.sha256(b"a pod's key").hexdigest()
# Any user but root. Without root, tests cannot switch to another user.
UID = 201_000 if os.geteuid() == 0 else None
# The system's Python, which every user can run, with the libraries of this one.
PYTHON = "/usr/bin/python3" if UID else sys.executable
LIBRARIES = sysconfig.get_paths()["purelib"]

HELLO = """
    from fastapi import FastAPI
    app = FastAPI()

    @app.get("/")
    async def read():
        return {"ok": True}
"""


def usable() -> bool:
    """Whether that user can read the Python and its libraries."""
    script = f"import sys, os; assert sys.version_info[:2] == {sys.version_info[:2]}; os.listdir({LIBRARIES!r})"
    script += f"; os.listdir({str(driver.SOURCE)!r})"
    return subprocess.run([PYTHON, "-c", script], user=UID, capture_output=True, cwd="/").returncode == 0


def start_request(code: str = HELLO, **change: Any) -> bytes:
    """A gzipped start request. `files` and `limits` are merged with the defaults, other fields are replaced."""
    files = {"app.py": textwrap.dedent(code)} | {
        path: textwrap.dedent(text) for path, text in change.pop("files", {}).items()
    }
    limits = {"file_bytes": 67_108_864, "open_files": 1024, "start_seconds": 20} | change.pop("limits", {})
    whole = {"mode": "serve", "files": files, "entrypoint": "app.py", "env": {"NAME": "value"}, "limits": limits}
    return gzip.compress(json.dumps(whole | change).encode())


def until(true: Callable[[], Any], seconds: float = 20) -> Any:
    """Returns the first true result of `true`. For conditions that no event reports."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "the condition did not become true"
    return found


class Pod:
    """The first process of a container, without the container."""

    def __init__(self, folder: Path, packed: bytes | None = None, *arguments: str, env: dict[str, str] | None = None):
        self.app_dir, self.log = folder / "app", folder / "pod.log"
        self.start_request = folder / "start-request.json.gz"
        self.app_dir.mkdir(exist_ok=True)
        self.termination_log = folder / "termination-log"
        self.termination_log.touch()
        if packed is not None:
            self.start_request.write_bytes(packed)
        for path in (folder, *folder.parents):
            if path.stat().st_mode & 0o005 != 0o005:
                path.chmod(0o755)
        if UID:
            os.chown(self.app_dir, UID, UID)
            os.chown(self.termination_log, UID, UID)
        # Reserves the port without listening on it, so that no other process gets it.
        self._reserved = socket.socket(socket.AF_INET6)
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind(("::", 0))
        self.port = self._reserved.getsockname()[1]
        self.command = [
            *(PYTHON, "-s", "-P", "-m", "fp_runner.pod", "--port", f"{self.port}"),
            *("--start-request", f"{self.start_request}", "--app-dir", f"{self.app_dir}"),
            *("--termination-log", f"{self.termination_log}", *arguments),
        ]
        self.env = {"PYTHONPATH": f"{driver.SOURCE}:{LIBRARIES}", "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        self.env |= env or {}
        self.process: subprocess.Popen[bytes] | None = None
        self._clients: list[http.client.HTTPConnection] = []

    def start(self, **how: Any) -> "Pod":
        with self.log.open("ab") as log:
            whom: dict[str, Any] = {"user": UID, "group": UID, "extra_groups": [] if UID else None}
            self.process = subprocess.Popen(
                how.pop("command", self.command),
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                **(whom | how),
            )
        return self

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    def connect(self, host: str = "127.0.0.1") -> socket.socket:
        """Connects as soon as the port is open."""

        def attempt() -> socket.socket | None:
            assert self.process
            assert self.process.poll() is None, self.output()
            try:
                return socket.create_connection((host, self.port), timeout=20)
            except ConnectionRefusedError:
                return None

        connected: socket.socket = until(attempt)
        return connected

    def client(self) -> http.client.HTTPConnection:
        """A client that is already connected."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        client.sock = self.connect()
        self._clients.append(client)
        return client

    def ask(self, path: str, method: str = "GET", client: http.client.HTTPConnection | None = None, **more: Any) -> Any:
        """Returns (status, headers, JSON or text)."""
        used = client or self.client()
        used.request(method, path, **more)
        answer = used.getresponse()
        body = answer.read().decode()
        is_json = answer.headers.get("content-type") == "application/json"
        return answer.status, answer.headers, json.loads(body) if is_json else body

    def get(self, path: str) -> Any:
        """The JSON of an answer with status 200."""
        status, _, body = self.ask(path)
        assert status == 200, body
        return body

    def ready(self) -> "Pod":
        assert self.ask("/_fp/ready")[0] == 204, self.output()
        return self

    def challenge(self, client: http.client.HTTPConnection) -> str:
        """Checks that the pod knows the key, and returns the pod's nonce."""
        nonce = os.urandom(16).hex()
        status, _, body = self.ask("/_fp/claim", client=client, headers={"fp-nonce": nonce})
        assert status == 200, body
        assert body["proof"] == mac(f"pod:{nonce}:{body['nonce']}")
        own: str = body["nonce"]
        return own

    def claim(self, packed: bytes) -> Any:
        """Makes a valid claim. Returns (status, body)."""
        client = self.client()
        proof = prove(self.challenge(client), packed)
        status, _, body = self.ask("/_fp/claim", "POST", client, body=packed, headers={"fp-proof": proof})
        return status, body

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, seconds: float = 20) -> int:
        assert self.process
        return self.process.wait(seconds)

    def termination_message(self) -> Any:
        text = self.termination_log.read_text()
        return json.loads(text) if text else None

    def output(self) -> str:
        return self.log.read_text()

    def app_pid(self) -> int:
        [pid] = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return int(pid)

    def close(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(20)
        for client in self._clients:
            client.close()
        self._reserved.close()


def mac(text: str) -> str:
    return hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


def prove(nonce: str, body: bytes) -> str:
    return mac(f"platform:{nonce}:{hashlib.sha256(body).hexdigest()}")


def wait_gone(pid: int) -> None:
    """Waits for the end of a process that is not a child of this one."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    ended = poll.poll(20_000)
    os.close(fd)
    assert ended
