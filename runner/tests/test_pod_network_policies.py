"""No code of an app runs before the cluster enforces its network policies. A listener of the test is the API server."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

import pods
from pods import KEY, Pod, start_request, usable

pytestmark = pytest.mark.skipif(not usable(), reason="another user cannot read this Python's libraries")

# Writes a file, which shows that the code runs.
TELLS = """
    import pathlib
    pathlib.Path("{mark}").write_text("ran")
    from fastapi import FastAPI
    app = FastAPI()
"""


@pytest.fixture
def api_server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def in_cluster(server: socket.socket) -> dict[str, str]:
    host, port = server.getsockname()
    return {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": str(port)}


def seconds(number: float) -> tuple[str, str]:
    return "--network-policy-seconds", f"{number}"


def mark_in(folder: Path) -> Path:
    marks = folder / "marks"
    marks.mkdir()
    marks.chmod(0o777)
    return marks / "mark"


def test_a_pod_waits_until_it_cannot_reach_the_api_server(tmp_path: Path, api_server: socket.socket) -> None:
    mark = mark_in(tmp_path)
    pod = Pod(tmp_path, start_request(TELLS.format(mark=mark)), *seconds(20), env=in_cluster(api_server)).start()
    try:
        # The pod has checked more than once.
        for _ in range(3):
            api_server.accept()[0].close()
        assert not mark.exists()
        api_server.close()
        assert pod.ask("/_fp/ready")[0] == 204
        assert mark.exists()
    finally:
        pod.close()


def test_no_code_runs_if_the_policies_are_not_enforced(tmp_path: Path, api_server: socket.socket) -> None:
    mark = mark_in(tmp_path)
    pod = Pod(tmp_path, start_request(TELLS.format(mark=mark)), *seconds(0.1), env=in_cluster(api_server)).start()
    try:
        status, _, body = pod.ask("/_fp/ready")
        failure = json.loads(body) if isinstance(body, str) else body
        assert (status, failure["code"]) == (500, "FP_SANDBOX_FAILED")
        assert "enforces no network policies" in failure["message"]
        assert not mark.exists()
        assert pod.process
        assert pod.process.wait(20) == 1
        assert "FP_SANDBOX_FAILED" in pod.termination_log.read_text()
    finally:
        pod.close()


def test_a_waiting_pod_takes_no_claim_without_enforced_policies(tmp_path: Path, api_server: socket.socket) -> None:
    pod = Pod(tmp_path, None, "--wait", *seconds(0.1), env={"FP_POD_KEY": KEY} | in_cluster(api_server)).start()
    try:
        assert pod.ask("/_fp/ready")[0] == 500
        assert pod.process
        assert pod.process.wait(20) == 1
    finally:
        pod.close()


def test_zero_seconds_turn_the_check_off(tmp_path: Path, api_server: socket.socket) -> None:
    pod = Pod(tmp_path, start_request(pods.HELLO), *seconds(0), env=in_cluster(api_server)).start()
    try:
        assert pod.ask("/_fp/ready")[0] == 204
    finally:
        pod.close()


def test_the_check_is_on_by_default(tmp_path: Path, api_server: socket.socket) -> None:
    mark = mark_in(tmp_path)
    pod = Pod(tmp_path, start_request(TELLS.format(mark=mark)), env=in_cluster(api_server)).start()
    try:
        for _ in range(2):
            api_server.accept()[0].close()
        assert not mark.exists()
    finally:
        pod.close()


def test_an_invalid_number_of_seconds_stops_the_pod(tmp_path: Path, api_server: socket.socket) -> None:
    pod = Pod(tmp_path, start_request(), "--network-policy-seconds", "soon", env=in_cluster(api_server)).start()
    try:
        assert pod.wait() == 1
        assert "--network-policy-seconds must be a number" in pod.termination_message()["message"]
    finally:
        pod.close()
