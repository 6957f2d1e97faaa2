"""The HTTP API of a pod while no app serves it: before and during the start, and after a failed start."""

import socket
import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from fp_runner import pod_start_request
from fp_runner.failure import Failure
from fp_runner.httpd import Connection, HttpServer, Request
from fp_runner.pod_start_request import PodStartRequest, StartRequestError
from fp_runner.reactor import Reactor

if TYPE_CHECKING:
    from fp_runner.claim import ClaimKey

_READY: Final = ("GET", "/_fp/ready")
_ALIVE: Final = ("GET", "/_fp/alive")
_CLAIM_PATH: Final = "/_fp/claim"
_CONTENT: Final = ("POST", "/_fp/claim/content")
# (error code, message)
_WAITING: Final = ("FP_POD_WAITING", "This pod waits to be told which app it is.")
_CLAIMED: Final = ("FP_POD_CLAIMED", "This pod has a start request already.")
_BAD_NONCE: Final = ("FP_POD_BAD_REQUEST", "fp-nonce must be 32 hexadecimal digits, in lower case.")
_WRONG_PROOF: Final = (
    "FP_POD_WRONG_PROOF",
    "Prove that you know this pod's key: GET /_fp/claim on this connection, then fp-proof.",
)


class Recipient(Protocol):
    """Receives the start request."""

    def start(self, given: PodStartRequest, since: float) -> None:
        """Starts the app of a validated start request. Times count from `since`, a time.monotonic()."""

    def receive_content(self, content: bytes) -> None:
        """Receives the content of an asset of that start request. Raises StartRequestError."""

    def cancel(self) -> None:
        """The remaining contents will not arrive. Another start request may follow."""

    @property
    def wanted(self) -> Sequence[str]:
        """The SHA-256 of each content that has not arrived yet. The app starts when none is left."""


class PodApi:
    """`recipient` gets one start request, or several if the contents of the earlier ones did not arrive."""

    def __init__(self, reactor: Reactor, listener: socket.socket, recipient: Recipient) -> None:
        self._server = HttpServer(reactor, listener, pod_start_request.MAX_PACKED, self._answer, self._closed)
        self._recipient = recipient
        self._key: ClaimKey | None = None
        self._state: Literal["waiting", "receiving", "starting", "started", "failed"] = "starting"
        self._timing = ""
        self._failure: Failure | None = None
        # The connection that waits for the outcome of the start.
        self._claim: Connection | None = None
        # The connection that has sent a start request and is to send its contents.
        self._sender: Connection | None = None
        self._probes: list[Connection] = []

    def wait(self, key: "ClaimKey") -> None:
        """Accepts connections until a client that knows the key has sent a start request."""
        self._key, self._state = key, "waiting"
        self._server.open()

    def started(self, timing: str, outcome: dict[str, Any]) -> None:
        """Answers the connections from before the start. The app answers all later ones."""
        self._state, self._timing = "started", timing
        if self._claim:
            self._claim.answer(HTTPStatus.OK, {"ready": True, **outcome})
        for probe in self._probes:
            self._say_ready(probe)

    def failed(self, failure: Failure) -> None:
        """Answers all requests with the failure from now on."""
        self._state, self._failure = "failed", failure
        if self._claim:
            self._claim.answer(HTTPStatus.UNPROCESSABLE_ENTITY, {"failure": failure.wire()})
        for probe in self._probes:
            probe.answer(HTTPStatus.INTERNAL_SERVER_ERROR, failure.wire())
        self._server.open()

    def has_unsent(self) -> bool:
        """Whether an answer has not been sent completely."""
        return self._server.has_unsent()

    def _answer(self, request: Request, connection: Connection) -> None:
        route = request.method, request.path
        if route == _ALIVE:
            connection.answer(HTTPStatus.NO_CONTENT)
        elif request.path == _CLAIM_PATH and self._state != "waiting":
            _refuse(connection, HTTPStatus.CONFLICT, _CLAIMED)
        elif self._failure:
            connection.answer(HTTPStatus.INTERNAL_SERVER_ERROR, self._failure.wire())
        elif route == _CONTENT and connection is self._sender:
            self._receive_content(request, connection)
        elif route == _READY and self._state in ("receiving", "starting"):
            self._probes.append(connection)
        elif route == _READY and self._state == "started":
            # The connection is older than the start request, but its request is not.
            self._say_ready(connection)
        elif route == ("GET", _CLAIM_PATH):
            self._challenge(request, connection)
        elif route == ("POST", _CLAIM_PATH):
            self._receive_start_request(request, connection)
        else:
            _refuse(connection, HTTPStatus.CONFLICT, _WAITING if self._state == "waiting" else _CLAIMED)

    def _say_ready(self, probe: Connection) -> None:
        probe.answer(HTTPStatus.NO_CONTENT, headers=(("server-timing", self._timing),))

    def _challenge(self, request: Request, connection: Connection) -> None:
        assert self._key
        challenge = self._key.challenge(request.headers.get("fp-nonce", ""))
        if not challenge:
            _refuse(connection, HTTPStatus.BAD_REQUEST, _BAD_NONCE)
            return
        connection.challenge, proof = challenge
        connection.answer(HTTPStatus.OK, {"nonce": connection.challenge, "proof": proof}, keep=True)

    def _receive_start_request(self, request: Request, connection: Connection) -> None:
        assert self._key
        arrived = time.monotonic()
        nonce, connection.challenge = connection.challenge, None
        if not nonce or not self._key.accepts(nonce, request.body, request.headers.get("fp-proof", "")):
            _refuse(connection, HTTPStatus.UNAUTHORIZED, _WRONG_PROOF)
            return
        try:
            given = pod_start_request.unpack(request.body)
        except StartRequestError as error:
            _refuse(connection, HTTPStatus.BAD_REQUEST, ("FP_POD_BAD_START_REQUEST", f"{error}"))
            return
        # The app answers all connections from now on.
        self._server.pause()
        self._state, self._claim = "starting", connection
        self._recipient.start(given, arrived)
        if self._failure is None and (wanted := self._recipient.wanted):
            self._state, self._claim, self._sender = "receiving", None, connection
            connection.answer(HTTPStatus.OK, {"wanted": wanted}, keep=True)

    def _receive_content(self, request: Request, connection: Connection) -> None:
        self._claim = connection
        try:
            self._recipient.receive_content(request.body)
        except StartRequestError as error:
            _refuse(connection, HTTPStatus.BAD_REQUEST, ("FP_POD_BAD_CONTENT", f"{error}"))
            self._abandon()
            return
        if self._failure is None and self._recipient.wanted:
            self._claim = None
            connection.answer(HTTPStatus.NO_CONTENT, keep=True)
        else:
            # The outcome of the start is the answer, as it is to a start request without assets.
            self._state, self._sender = "failed" if self._failure else "starting", None

    def _closed(self, connection: Connection) -> None:
        if connection is self._sender:
            self._abandon()

    def _abandon(self) -> None:
        self._claim = self._sender = None
        if self._state != "receiving":
            return
        self._state = "waiting"
        self._recipient.cancel()
        probes, self._probes = self._probes, []
        for probe in probes:
            _refuse(probe, HTTPStatus.CONFLICT, _WAITING)
        self._server.open()


def _refuse(connection: Connection, status: int, why: tuple[str, str]) -> None:
    connection.answer(status, {"code": why[0], "message": why[1]})
