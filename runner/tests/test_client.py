"""The scope has the values that the client sent."""

import asyncio
import json
from typing import Any

from websockets.asyncio.client import unix_connect

import driver
from conftest import MakeApp
from fp_runner import client

FACTS = b"192.0.2.7 50123 https app-a.example 8443 1.0"


def scope_of(headers: list[tuple[bytes, bytes]], kind: str = "http") -> dict[str, Any]:
    scope: dict[str, Any] = {
        "type": kind,
        "http_version": "1.1",
        "scheme": "http",
        "client": None,
        "server": ("/run/app.sock", None),
        "headers": headers,
    }
    client.restore(scope)
    return scope


def test_the_scope_has_the_clients_connection_not_the_platforms() -> None:
    scope = scope_of([(b"host", b"a"), (b"fp-client", FACTS)])
    assert scope["client"] == ("192.0.2.7", 50123)
    assert scope["server"] == ("app-a.example", 8443)
    assert (scope["scheme"], scope["http_version"]) == ("https", "1.0")
    assert scope["headers"] == []


def test_the_scheme_of_a_websocket_is_wss() -> None:
    assert scope_of([(b"fp-client", FACTS)], "websocket")["scheme"] == "wss"


def test_headers_keep_their_order_and_repetitions() -> None:
    headers = [
        # Headers as the platform sends them.
        (b"host", b"a"),
        (b"connection", b"keep-alive"),
        (b"x-many", b"1"),
        (b"fp-client-connection", b"close, te"),
        (b"x-many", b"2"),
        (b"fp-client-host", b"app-a.example:8443"),
        (b"fp-client-content-length", b"5"),
        (b"fp-client-expect", b"100-continue"),
        (b"fp-client", FACTS),
        (b"content-length", b"5"),
        (b"expect", b"100-continue"),
    ]
    assert scope_of(headers)["headers"] == [
        (b"x-many", b"1"),
        (b"connection", b"close, te"),
        (b"x-many", b"2"),
        (b"host", b"app-a.example:8443"),
        (b"content-length", b"5"),
        (b"expect", b"100-continue"),
    ]


def test_a_header_named_fp_client_from_a_client_reaches_the_app_as_a_header() -> None:
    # The platform adds its prefix to such a header.
    headers = [(b"fp-client-fp-client", b"6.6.6.6 1 https evil 1 1.1"), (b"fp-client", FACTS)]
    scope = scope_of(headers)
    assert scope["client"] == ("192.0.2.7", 50123)
    assert scope["headers"] == [(b"fp-client", b"6.6.6.6 1 https evil 1 1.1")]


def test_a_request_of_the_platform_itself_is_unchanged() -> None:
    headers = [(b"host", b"a"), (b"connection", b"keep-alive")]
    scope = scope_of(headers)
    assert scope["headers"] == headers
    assert scope["client"] is None


def test_apps_see_the_client_of_a_request_and_of_a_websocket(make_app: MakeApp) -> None:
    code = """
        import json

        async def app(scope, receive, send):
            if scope["type"] == "lifespan":
                return
            facts = [scope[name] for name in ("client", "server", "scheme", "http_version")]
            shown = (b"x-", b"fp-", b"conn")
            facts.append([[n.decode(), v.decode()] for n, v in scope["headers"] if n.startswith(shown)])
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.accept"})
                await send({"type": "websocket.send", "text": json.dumps(facts)})
                await send({"type": "websocket.close"})
                return
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": json.dumps(facts).encode()})
    """
    app = make_app(code).start().ready()
    headers = {"fp-client": FACTS.decode(), "x-a": "1", "fp-client-connection": "close"}
    server = ["app-a.example", 8443]
    with driver.client(app.socket) as http:
        answer = http.get("/", headers=headers).json()
    assert answer == [["192.0.2.7", 50123], server, "https", "1.0", [["x-a", "1"], ["connection", "close"]]]

    async def ask() -> str | bytes:
        async with unix_connect(str(app.socket), "ws://app/ws", additional_headers=headers) as ws:
            return await ws.recv()

    assert json.loads(asyncio.run(ask()))[:3] == [["192.0.2.7", 50123], server, "wss"]
