"""A waiting pod becomes the app of a client that proves that it knows the pod's key."""

import contextlib
import gzip
import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pods
from conftest import MakePod
from fp_runner import httpd, tcp
from fp_runner.reactor import Reactor
from pods import HELLO, KEY, prove, start_request

BAD = "d = {}\nd['x']\n"
# Prints that it is imported, and waits for the test, which thus decides how long the start takes.
HELD = """
    import os, socket
    print("importing", flush=True)
    with socket.socket(socket.AF_UNIX) as gate:
        gate.connect(os.environ["GATE"])
        gate.recv(1)
    from fastapi import FastAPI
    app = FastAPI()
"""


@pytest.fixture
def waiting(make_pod: MakePod) -> pods.Pod:
    return make_pod(wait=True)


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pods.Pod]:
    """A pod that is still waiting after all requests of these tests, and then accepts a start request."""
    if not pods.usable():
        pytest.skip("no Python and libraries that an ordinary user can read")
    pod = pods.Pod(tmp_path_factory.mktemp("patient"), None, "--wait", env={"FP_POD_KEY": KEY}).start()
    yield pod
    assert pod.claim(start_request())[0] == 200
    pod.close()


def test_a_claim_is_answered_once_the_app_is_ready(waiting: pods.Pod) -> None:
    status, body = waiting.claim(start_request())
    assert (status, body["ready"]) == (200, True)
    assert [phase["name"] for phase in body["phases"]] == ["written", "sandboxed", "imported", "started", "ready"]
    times = [phase["at"] for phase in body["phases"]]
    assert times == sorted(times)
    assert times[0] > 0
    assert waiting.get("/") == {"ok": True}
    status, headers, _ = waiting.ask("/_fp/ready")
    assert status == 204
    assert re.fullmatch(r"imported;dur=[\d.]+, ready;dur=[\d.]+", headers["server-timing"])
    assert waiting.ask("/_fp/alive")[0] == 204
    assert waiting.ask("/_fp/claim", "POST", body=start_request())[0] == 409
    assert waiting.ask("/_fp/claim", headers={"fp-nonce": "0" * 32})[2]["code"] == "FP_POD_CLAIMED"


def test_a_waiting_pod_answers_only_the_liveness_probe(patient: pods.Pod) -> None:
    assert patient.ask("/_fp/alive")[0] == 204
    for method, path in (("GET", "/_fp/ready"), ("GET", "/"), ("POST", "/x?y=z"), ("DELETE", "/_fp/claim")):
        status, _, body = patient.ask(path, method)
        assert (status, body["code"]) == (409, "FP_POD_WAITING")


def _post(pod: pods.Pod, client: Any, proof: str, body: bytes) -> Any:
    status, _, answer = pod.ask("/_fp/claim", "POST", client, body=body, headers={"fp-proof": proof})
    return status, answer["code"]


def test_a_claim_needs_the_key(patient: pods.Pod) -> None:
    body = start_request()
    wrong = (401, "FP_POD_WRONG_PROOF")
    client = patient.client()
    assert _post(patient, client, prove(patient.challenge(client), b"another body"), body) == wrong
    client = patient.client()
    assert _post(patient, client, "", body) == wrong
    client = patient.client()
    patient.challenge(client)
    assert _post(patient, client, "ä" * 64, body) == wrong
    # A nonce is valid only on its connection, and only the last one.
    nonce = patient.challenge(patient.client())
    assert _post(patient, patient.client(), prove(nonce, body), body) == wrong
    client = patient.client()
    old = patient.challenge(client)
    assert patient.challenge(client) != old
    assert _post(patient, client, prove(old, body), body) == wrong


def test_a_nonce_is_used_once(patient: pods.Pod) -> None:
    body = start_request()
    with patient.connect() as raw:
        file = raw.makefile("rb")

        def answer() -> tuple[int, Any]:
            status = int(file.readline().split()[1])
            length = 0
            while line := file.readline().strip():
                name, _, value = line.lower().partition(b":")
                length = int(value) if name == b"content-length" else length
            return status, json.loads(file.read(length))

        raw.sendall(b"GET /_fp/claim HTTP/1.1\r\nfp-nonce: " + b"a" * 32 + b"\r\n\r\n")
        nonce = answer()[1]["nonce"]
        # Both are sent at once, so that the second has arrived before the connection is closed.
        head = b"POST /_fp/claim HTTP/1.1\r\nfp-proof: %s\r\ncontent-length: %d\r\n\r\n"
        right, junk = prove(nonce, body).encode(), b"junk"
        raw.sendall(head % (b"0" * 64, len(junk)) + junk + head % (right, len(body)) + body)
        assert answer()[0] == 401
        assert file.read() == b""
    assert patient.ask("/_fp/ready")[0] == 409


@pytest.mark.parametrize("nonce", ["", "a" * 31, "A" * 32, "g" * 32, "a" * 33])
def test_an_invalid_nonce_of_the_platform_is_refused(patient: pods.Pod, nonce: str) -> None:
    status, _, body = patient.ask("/_fp/claim", headers={"fp-nonce": nonce})
    assert (status, body["code"]) == (400, "FP_POD_BAD_REQUEST")


def _packed(value: Any) -> bytes:
    return gzip.compress(json.dumps(value).encode())


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not one whole gzip stream"),
        (b"{}", "not gzip"),
        (gzip.compress(b"{"), "not JSON"),
        (gzip.compress(b"\xff"), "not JSON"),
        (gzip.compress(b"[" * 200_000), "not JSON"),
        (start_request()[:-1], "not one whole gzip stream"),
        (start_request() + b"x", "not one whole gzip stream"),
        (gzip.compress(b" " * (8 * 1024 * 1024 + 1)), "larger than 8388608 bytes"),
        (_packed([]), "not an object"),
        (_packed({}), "mode must be"),
        (start_request(mode="what"), "mode must be"),
        (start_request(files={"../x.py": ""}), "'../x.py' is not within"),
        (start_request(files={"/etc/x": ""}), "'/etc/x' is not within"),
        (start_request(files={"a//b": ""}), "'a//b' is not within"),
        (start_request(files={"a/./b": ""}), "'a/./b' is not within"),
        (start_request(files={"": ""}), "'' is not within"),
        (start_request(files={"a\0b": ""}), "is not within"),
        (start_request(files={"x.py": "\ud800"}), "cannot be written as UTF-8"),
        (_packed({"mode": "serve", "files": {"app.py": 1}, "entrypoint": "app.py", "env": {}}), "must be a text"),
        (_packed({"mode": "serve", "files": [], "entrypoint": "app.py", "env": {}}), "files must map"),
        (start_request(entrypoint=None), "entrypoint must be"),
        (start_request(env={"A=B": "c"}), "env must map"),
        (start_request(env={"A": 1}), "env must map"),
        (start_request(limits={"open_files": 0}), "limits.open_files must be a positive number"),
    ],
)
def test_an_invalid_start_request_changes_nothing(patient: pods.Pod, body: bytes, words: str) -> None:
    status, answer = patient.claim(body)
    assert (status, answer["code"]) == (400, "FP_POD_BAD_START_REQUEST")
    assert words in answer["message"]
    assert patient.ask("/_fp/ready")[2]["code"] == "FP_POD_WAITING"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"what\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nname : x\r\n\r\n", 400),
        (b"POST /_fp/claim HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
        (b"POST /_fp/claim HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400),
        (b"POST /_fp/claim HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", 411),
        (b"POST /_fp/claim HTTP/1.1\r\ncontent-length: 2097153\r\n\r\n", 413),
        (b"POST /_fp/claim HTTP/1.1\r\ncontent-length: " + b"9" * 5000 + b"\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 20_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 20_000, 431),
    ],
)
def test_invalid_http_is_answered_and_the_connection_closed(patient: pods.Pod, sent: bytes, status: int) -> None:
    with patient.connect() as raw:
        raw.sendall(sent)
        answer = raw.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "FP_POD_BAD_REQUEST"


def test_an_answer_arrives_while_the_client_still_sends(patient: pods.Pod) -> None:
    with patient.connect() as raw:
        raw.sendall(b"POST /_fp/claim HTTP/1.1\r\ncontent-length: 3000000\r\n\r\n" + b"x" * 3_000_000)
        raw.shutdown(socket.SHUT_WR)
        assert raw.makefile("rb").read().startswith(b"HTTP/1.1 413 ")


def test_a_client_may_wait_for_100_continue(patient: pods.Pod) -> None:
    with patient.connect() as raw:
        raw.sendall(b"POST /_fp/claim HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        file = raw.makefile("rb")
        assert [file.readline(), file.readline()] == [b"HTTP/1.1 100 Continue\r\n", b"\r\n"]
        raw.sendall(b"{}")
        assert file.readline().startswith(b"HTTP/1.1 401 ")


def test_incomplete_requests_do_not_block_other_clients(waiting: pods.Pod) -> None:
    held = [waiting.connect() for _ in range(300)]
    for number, raw in enumerate(held):
        try:
            raw.sendall((b"", b"G", b"POST /_fp/claim HTTP/1.1\r\ncontent-length: 9\r\n\r\n")[number % 3])
        except ConnectionError:
            continue
    client = waiting.client()
    nonce = waiting.challenge(client)
    body = start_request()
    head = f"POST /_fp/claim HTTP/1.1\r\nfp-proof: {prove(nonce, body)}\r\ncontent-length: {len(body)}\r\n\r\n"
    # Byte by byte, while others are answered.
    for byte in head.encode() + body[:50]:
        client.sock.sendall(bytes([byte]))
    assert waiting.ask("/_fp/alive")[0] == 204
    client.sock.sendall(body[50:])
    assert client.sock.makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"
    assert waiting.get("/") == {"ok": True}
    for raw in held:
        raw.close()


def test_silent_connections_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpd, "_REQUEST_SECONDS", 0.05)
    reactor, listener = Reactor(), tcp.listen(0)
    server = httpd.HttpServer(reactor, listener, 100, lambda _request, connection: connection.answer(204, keep=True))
    server.open()
    silent, half, asks = (socket.create_connection(("127.0.0.1", listener.getsockname()[1])) for _ in range(3))
    half.sendall(b"GET / HTTP")
    asks.sendall(b"GET / HTTP/1.1\r\n\r\n")
    left = {silent: b"", half: b"", asks: b"HTTP/1.1 204 No Content\r\n\r\n"}
    for client in left:
        client.setblocking(False)
    end = time.monotonic() + 20
    # This timer wakes the reactor at the end.
    reactor.call_later(20, lambda: None)
    while left:
        assert time.monotonic() < end
        reactor.run_once()
        for client, expected in list(left.items()):
            try:
                data = client.recv(100)
            except BlockingIOError:
                continue
            assert data == expected[: len(data)]
            left[client] = expected[len(data) :]
            if not data:
                assert left.pop(client) == b""
                client.close()
    server.pause()
    listener.close()


@pytest.fixture
def gate(tmp_path: Path) -> Any:
    """HELD connects to this socket. accept() waits until it is imported; closing the connection lets it continue."""
    folder = tmp_path / "gate"
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
        (folder / "s").chmod(0o777)
        listener.listen()
        listener.settimeout(20)
        yield listener


def test_a_starting_pod_accepts_no_other_start_request(waiting: pods.Pod, gate: socket.socket) -> None:
    # All these connect while the pod still waits. The app accepts later connections.
    early = [waiting.client() for _ in range(4)]
    nonce = waiting.challenge(early[0])
    answers: list[Any] = []
    claim = threading.Thread(
        target=lambda: answers.append(waiting.claim(start_request(HELD, env={"GATE": str(gate.getsockname())})))
    )
    claim.start()
    held, _ = gate.accept()
    assert _post(waiting, early[0], prove(nonce, start_request()), start_request()) == (409, "FP_POD_CLAIMED")
    assert waiting.ask("/", client=early[1])[2]["code"] == "FP_POD_CLAIMED"
    assert waiting.ask("/_fp/alive", client=early[2])[0] == 204
    early[3].request("GET", "/_fp/ready")
    late, others = waiting.client(), waiting.client()
    late.request("GET", "/_fp/ready")
    others.request("GET", "/openapi.json")
    held.close()
    claim.join()
    assert answers[0][0] == 200
    for probe in (early[3], late):
        answer = probe.getresponse()
        assert answer.status == 204
        assert "ready;dur=" in answer.headers["server-timing"]
    assert others.getresponse().status == 200


def test_connections_from_before_the_start_request_are_answered_after_the_start(waiting: pods.Pod) -> None:
    early = [waiting.client() for _ in range(3)]
    assert waiting.claim(start_request())[0] == 200
    status, headers, _ = waiting.ask("/_fp/ready", client=early[0])
    assert status == 204
    assert "ready;dur=" in headers["server-timing"]
    assert waiting.ask("/_fp/alive", client=early[1])[0] == 204
    # This connection can no longer be passed to the app.
    status, _, body = waiting.ask("/", client=early[2])
    assert (status, body["code"]) == (409, "FP_POD_CLAIMED")


def test_the_app_starts_even_if_the_claims_connection_is_closed(waiting: pods.Pod, gate: socket.socket) -> None:
    client = waiting.client()
    body = start_request(HELD, env={"GATE": str(gate.getsockname())})
    proof = prove(waiting.challenge(client), body)
    client.request("POST", "/_fp/claim", body=body, headers={"fp-proof": proof})
    held, _ = gate.accept()
    client.close()
    held.close()
    waiting.ready()


def test_the_claim_and_probes_are_answered_with_a_failed_start(waiting: pods.Pod) -> None:
    status, body = waiting.claim(start_request(BAD))
    assert status == 422
    assert body["failure"]["code"] == "FP_APP_IMPORT_FAILED"
    assert waiting.ask("/_fp/ready")[::2] == (500, body["failure"])
    assert waiting.ask("/_fp/claim", "POST", body=start_request())[0] == 409
    assert waiting.wait() == 1
    assert waiting.termination_message() == body["failure"]


@pytest.mark.parametrize(
    ("code", "limits", "expected"),
    [
        ("import os\nos._exit(3)\n", {}, "FP_APP_CRASHED"),
        ("while True: pass\n", {"start_seconds": 0.5}, "FP_APP_START_TIMEOUT"),
        ("app = 5\n", {}, "FP_APP_NOT_FOUND_IN_CODE"),
    ],
)
def test_every_kind_of_failed_start(waiting: pods.Pod, code: str, limits: dict[str, float], expected: str) -> None:
    status, body = waiting.claim(start_request(code, limits=limits))
    assert (status, body["failure"]["code"]) == (422, expected)


def test_files_that_cannot_be_written_are_a_failed_start(waiting: pods.Pod) -> None:
    status, body = waiting.claim(start_request(files={"a": "", "a/b": ""}))
    assert (status, body["failure"]["code"]) == (422, "FP_SANDBOX_FAILED")


@pytest.mark.parametrize(
    ("code", "status", "key", "ended", "words"),
    [
        (HELLO, 200, "kind", 0, {"ok": True, "kind": "fastapi"}),
        ("from starlette.applications import Starlette\nweb = Starlette()\n", 200, "kind", 0, None),
        (BAD, 422, "failure", 1, None),
    ],
)
def test_check_mode_answers_and_ends(
    waiting: pods.Pod, code: str, status: int, key: str, ended: int, words: dict[str, Any] | None
) -> None:
    answered, body = waiting.claim(start_request(code, mode="check"))
    assert (answered, key in body) == (status, True)
    assert waiting.wait() == ended
    assert waiting.termination_message() == words if words else waiting.termination_message()


def test_the_app_has_neither_the_key_nor_the_claims_connection(waiting: pods.Pod) -> None:
    others = [waiting.client() for _ in range(3)]
    waiting.ask("/_fp/alive", client=others[0])
    # They share the log and nothing else that the supervisor has open: not the key's pipe, the port or the clients.
    shared = _open(waiting.app_pid()) & _open(waiting.pid)
    assert shared == {"/dev/null", str(waiting.log)}
    assert waiting.claim(start_request(env={"OWN": "a value of its own"}))[0] == 200
    app = waiting.app_pid()
    assert KEY not in Path(f"/proc/{waiting.pid}/environ").read_text()
    assert KEY not in Path(f"/proc/{app}/environ").read_text()
    if os.geteuid() == 0:
        # The search works: it finds the app's own value in the app, and the key in the supervisor.
        assert _in_memory(app, b"a value of its own")
        assert _in_memory(waiting.pid, KEY.encode())
        assert not _in_memory(app, KEY.encode())
    connections = {f"socket:[{number}]" for number in _established(waiting.port)}
    assert connections
    assert not connections & _open(app)


def _open(pid: int) -> set[str]:
    links = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        # A connection may be closed between listdir and readlink.
        with contextlib.suppress(FileNotFoundError):
            links.add(os.readlink(path))
    return {link for link in links if not link.startswith("anon_inode:")}


def _in_memory(pid: int, text: bytes) -> bool:
    found = False
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            if "rw" not in line.split()[1] or end - start > 1 << 30:
                continue
            memory.seek(start)
            try:
                found = found or text in memory.read(end - start)
            except OSError:
                continue
    return found


def _established(port: int) -> set[str]:
    """The inodes of the pod's sockets of established connections."""
    lines = Path("/proc/net/tcp6").read_text().splitlines() + Path("/proc/net/tcp").read_text().splitlines()
    rows = [line.split() for line in lines if line.split()[3] == "01"]
    return {row[9] for row in rows if int(row[1].rpartition(":")[2], 16) == port}


def test_a_waiting_pod_ends_with_its_waiting_process(waiting: pods.Pod) -> None:
    waiting.ask("/_fp/alive")
    os.kill(waiting.app_pid(), 9)
    assert waiting.wait() == 1
    assert waiting.termination_message()["code"] == "FP_SANDBOX_FAILED"


def test_a_claimed_app_has_the_state_of_a_fresh_process(make_pod: MakePod) -> None:
    code = """
        import multiprocessing, os, random, sys
        from fastapi import FastAPI
        app = FastAPI()

        @app.get("/")
        def read():
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                return [dict(os.environ), random.random(), pool.apply(os.getcwd)]
    """
    first, second = make_pod(wait=True), make_pod(wait=True)
    answers = []
    for pod in (first, second):
        assert pod.claim(start_request(code, env={"BIG": "x" * 100_000}))[0] == 200
        answers.append(pod.get("/"))
    assert set(answers[0][0]) == {
        "BIG",
        "PATH",
        "HOME",
        "TMPDIR",
        "LANG",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONUNBUFFERED",
    }
    assert answers[0][1] != answers[1][1]
    assert answers[0][2] == str(first.app_dir)


def test_only_the_apps_process_imports_the_frameworks_before_the_pod_answers(
    waiting: pods.Pod,
) -> None:
    assert waiting.ask("/_fp/alive")[0] == 204
    assert "pydantic_core" not in Path(f"/proc/{waiting.pid}/maps").read_text()
    assert "pydantic_core" in Path(f"/proc/{waiting.app_pid()}/maps").read_text()
