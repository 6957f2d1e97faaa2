"""A pod whose start request has assets. Their contents follow the start request on the same connection."""

import hashlib
import http.client
import os
from typing import Any

import pytest

import pods
from conftest import MakePod
from pods import KEY, prove, start_request

MIB = 1024 * 1024
APP = """
    import hashlib, os, stat
    from fastapi import FastAPI
    app = FastAPI()

    @app.get("/files")
    def files():
        found = {}
        for folder, _, names in os.walk("."):
            for name in names:
                path = os.path.join(folder, name)
                mode = oct(stat.S_IMODE(os.stat(path).st_mode))
                found[path[2:]] = [hashlib.sha256(open(path, "rb").read()).hexdigest(), mode]
        return found

    @app.get("/folder")
    def folder():
        return oct(stat.S_IMODE(os.stat("static").st_mode))
"""


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _asset(path: str, content: bytes) -> dict[str, Any]:
    return {"path": path, "bytes": len(content), "sha256": _sha(content)}


def _send_start_request(pod: pods.Pod, packed: bytes) -> tuple[http.client.HTTPConnection, Any]:
    client = pod.client()
    proof = prove(pod.challenge(client), packed)
    status, _, body = pod.ask("/_fp/claim", "POST", client, body=packed, headers={"fp-proof": proof})
    assert status == 200, body
    return client, body


def _send(pod: pods.Pod, client: http.client.HTTPConnection, content: bytes) -> tuple[int, Any]:
    status, _, body = pod.ask("/_fp/claim/content", "POST", client, body=content)
    return status, body


@pytest.fixture
def waiting(make_pod: MakePod) -> pods.Pod:
    return make_pod(wait=True)


@pytest.mark.parametrize("cold", [False, True])
def test_contents_are_written_byte_for_byte_before_the_app_starts(make_pod: MakePod, cold: bool) -> None:
    waiting = make_pod(wait=True, cold=cold)
    large, small = os.urandom(2 * MIB), bytes(range(256))
    assets = {"static/large.bin": large, "static/deep/small.bin": small, "twin.bin": small, "empty": b""}
    packed = start_request(APP, assets=[_asset(path, content) for path, content in assets.items()])
    client, body = _send_start_request(waiting, packed)
    # Equal contents are sent once.
    assert body == {"wanted": [_sha(large), _sha(small), _sha(b"")]}
    # In another order than that of the start request.
    assert _send(waiting, client, small) == (204, "")
    assert _send(waiting, client, large) == (204, "")
    status, body = _send(waiting, client, b"")
    assert (status, body["ready"]) == (200, True)
    assert body["phases"][0]["name"] == "written"
    files = waiting.get("/files")
    assert {path: sha for path, (sha, _) in files.items() if path != "app.py"} == {
        path: _sha(content) for path, content in assets.items()
    }
    assert {mode for _, mode in files.values()} == {"0o444"}
    assert waiting.get("/folder") == "0o555"


def test_a_pod_with_missing_contents_accepts_another_start_request(waiting: pods.Pod) -> None:
    left, content = os.urandom(1000), os.urandom(2000)
    client, _ = _send_start_request(
        waiting, start_request(APP, assets=[_asset("left", left), _asset("never", b"never sent")])
    )
    assert _send(waiting, client, left)[0] == 204
    client.close()
    # A probe in the meantime waits until the pod knows whether the remaining contents will arrive.
    assert waiting.ask("/_fp/ready")[0] == 409
    client, body = _send_start_request(waiting, start_request(APP, assets=[_asset("kept", content)]))
    assert body == {"wanted": [_sha(content)]}
    assert _send(waiting, client, content)[0] == 200
    assert sorted(waiting.get("/files")) == ["app.py", "kept"]


def test_a_content_that_the_start_request_does_not_name_is_refused(waiting: pods.Pod) -> None:
    packed = start_request(APP, assets=[_asset("a", b"right")])
    client, _ = _send_start_request(waiting, packed)
    status, body = _send(waiting, client, b"wrong")
    assert (status, body["code"]) == (400, "FP_POD_BAD_CONTENT")
    client, _ = _send_start_request(waiting, packed)
    assert _send(waiting, client, b"right")[0] == 200


def test_contents_must_come_from_the_sender_of_the_start_request(waiting: pods.Pod) -> None:
    other = waiting.client()
    early = waiting.client()
    assert _send(waiting, early, b"right")[1]["code"] == "FP_POD_WAITING"
    client, _ = _send_start_request(waiting, start_request(APP, assets=[_asset("a", b"right")]))
    assert _send(waiting, other, b"right")[0] == 409
    assert _send(waiting, client, b"right")[0] == 200


def test_a_probe_before_the_last_content_is_answered_with_the_outcome(waiting: pods.Pod) -> None:
    early = waiting.client()
    # This connection is accepted before the start request; later ones wait in the backlog.
    waiting.ask("/_fp/claim", client=early, headers={"fp-nonce": "0" * 32})
    client, _ = _send_start_request(waiting, start_request(APP, assets=[_asset("a", b"right")]))
    early.request("GET", "/_fp/ready")
    assert _send(waiting, client, b"right")[0] == 200
    assert early.getresponse().status == 204


def test_the_last_content_is_answered_with_a_failed_start(waiting: pods.Pod) -> None:
    client, _ = _send_start_request(waiting, start_request("1 / 0\n", assets=[_asset("a", b"right")]))
    status, body = _send(waiting, client, b"right")
    assert (status, body["failure"]["code"]) == (422, "FP_APP_IMPORT_FAILED")
    assert waiting.wait() == 1


def test_a_pod_that_is_stopped_while_it_receives_contents_ends(waiting: pods.Pod) -> None:
    _send_start_request(waiting, start_request(APP, assets=[_asset("a", b"right")]))
    waiting.signal(15)
    assert waiting.wait() == 0


_BYTES = {"bytes": 1, "sha256": "0" * 64}


@pytest.mark.parametrize(
    ("assets", "words"),
    [
        ({}, "must be a list"),
        (["x"], "must be a list of objects"),
        ([_BYTES | {"path": f"{n}"} for n in range(201)], "more than 200 assets"),
        ([_BYTES | {"path": "../x"}], "needs a path within"),
        ([_BYTES | {"path": "x"}, _BYTES | {"path": "x"}], "needs a path within"),
        ([_BYTES | {"path": "app.py"}], "'app.py' is a file and an asset"),
        ([_BYTES | {"path": "x", "bytes": 2 * MIB + 1}], "at most 2097152 bytes"),
        ([_BYTES | {"path": "x", "bytes": -1}], "at most 2097152 bytes"),
        ([_BYTES | {"path": "x", "sha256": "0" * 63}], "SHA-256"),
        ([_BYTES | {"path": f"{n}", "bytes": 2 * MIB} for n in range(11)], "more than 20971520 bytes"),
    ],
)
def test_assets_have_limits(waiting: pods.Pod, assets: Any, words: str) -> None:
    status, body = waiting.claim(start_request(assets=assets))
    assert (status, body["code"]) == (400, "FP_POD_BAD_START_REQUEST")
    assert words in body["message"]


def test_a_mounted_start_request_cannot_have_assets(make_pod: MakePod) -> None:
    pod = make_pod(start_request(assets=[_asset("a", b"right")]))
    assert pod.wait() == 1
    assert pod.termination_message()["code"] == "FP_SANDBOX_FAILED"
    assert KEY not in pod.output()
