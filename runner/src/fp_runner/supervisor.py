"""The one app of a pod, from its order to its end. Never runs user code."""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from fp_runner import cgroups, ending, order, termination
from fp_runner.app_child import AppChild
from fp_runner.failure import Code, Failure
from fp_runner.httpd import Connection, HttpServer, Request
from fp_runner.order import Order, OrderError
from fp_runner.protocol import Message
from fp_runner.reactor import Reactor, Timer

if TYPE_CHECKING:
    from fp_runner.claim import ClaimKey

State = Literal["waiting", "starting", "serving", "stopping", "failed", "checked"]

# The app itself says where it hangs, if it can, before it is killed from outside.
_SOFT_TIMEOUT_HEADSTART: Final = 0.25
# How long a failed start is still answered, for whoever polls.
_FAILED_SECONDS: Final = 3.0
# For the last answer to leave.
_FLUSH_SECONDS: Final = 1.0
_PHASES: Final = ("sandboxed", "imported", "started", "ready")
_CLAIMED: Final = {"code": "FP_POD_CLAIMED", "message": "This pod has an order already."}
_WAITING: Final = {"code": "FP_POD_WAITING", "message": "This pod waits to be told which app it is."}


@dataclass(frozen=True)
class Settings:
    """`grace` in seconds."""

    app_dir: str
    termination_log: str
    grace: float


class Supervisor:
    """`exit_code` is set once all is over."""

    def __init__(self, reactor: Reactor, listener: socket.socket, child: AppChild, settings: Settings) -> None:
        self.exit_code: int | None = None
        self._reactor = reactor
        self._listener = listener
        self._child = child
        self._key: ClaimKey | None = None
        self._settings = settings
        self._server = HttpServer(reactor, listener, order.MAX_PACKED, self._answer)
        self._state: State = "waiting"
        self._order: Order | None = None
        self._since = 0.0
        self._phases: list[dict[str, Any]] = []
        self._failure: Failure | None = None
        # What waits for the outcome of the start.
        self._claim: Connection | None = None
        self._probes: list[Connection] = []
        self._timer: Timer | None = None
        self._oom_kills = cgroups.own_oom_kills()
        child.on_message = self._on_message

    def wait(self, key: "ClaimKey") -> None:
        """Answers, until somebody who knows the key sends an order."""
        self._key = key
        self._server.open()

    def start(self, given: Order, since: float, interpreter: float) -> None:
        """Carries out the order. Times are counted from `since`, a time.monotonic(); `interpreter` is in ms."""
        self._state, self._order, self._since = "starting", given, since
        self._server.pause()
        self._timer = self._reactor.call_later(given.limits.start_seconds + _SOFT_TIMEOUT_HEADSTART, self._too_late)
        try:
            order.write_files(given.files, self._settings.app_dir)
        except OSError as error:
            self.fail("FP_SANDBOX_FAILED", f"The app's files could not be written: {error}")
            return
        self._phase("written")
        message = {
            "mode": given.mode,
            "app_dir": self._settings.app_dir,
            "entrypoint": given.entrypoint,
            "env": given.env,
            "limits": asdict(given.limits),
            "since": since,
            "interpreter": interpreter,
        }
        fds = (1, 2, self._listener.fileno()) if given.mode == "serve" else (1, 2)
        self._child.send(message, fds)

    def fail(self, code: Code, text: str) -> None:
        """The start failed, for a reason that the app itself did not tell."""
        print(f"fp_runner: {text}", file=sys.stderr, flush=True)
        self._fail(Failure(code, text))

    def stop(self) -> None:
        """SIGTERM."""
        # It may be ready and have said so.
        self._child.read()
        if self._state == "serving":
            self._state = "stopping"
            self._child.send({"op": "stop", "grace_ms": self._settings.grace * 1000})
            self._child.signal(signal.SIGTERM)
            self._timer = self._reactor.call_later(self._settings.grace, self._out_of_grace)
        elif self._state == "failed":
            self.exit_code = 1
        elif self._state in ("waiting", "starting"):
            self._child.signal(signal.SIGKILL)
            self.exit_code = 0

    def reap(self) -> None:
        """SIGCHLD: the app's end, or that of an orphan, which comes to this process as the container's first."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._child.pid:
                self._child.read()
                self._on_end(*ending.decode(status))

    def _on_end(self, code: int | None, number: int | None) -> None:
        oom = "The app used more than its memory and was ended." if cgroups.own_oom_kills() > self._oom_kills else None
        reason, text = ending.explain(code, number, oom)
        end: Code = "FP_APP_OUT_OF_MEMORY" if reason == "out_of_memory" else "FP_APP_CRASHED"
        if self._state == "stopping" and not oom and number in (None, signal.SIGTERM, signal.SIGKILL) and not code:
            self.exit_code = self.exit_code or 0
        elif self._state in ("serving", "stopping"):
            print(f"fp_runner: {text}", file=sys.stderr, flush=True)
            termination.write(self._settings.termination_log, termination.fit(Failure(end, text)))
            self.exit_code = 1
        elif self._state == "starting":
            self.fail(end, text)
        elif self._state == "waiting":
            self.fail("FP_SANDBOX_FAILED", "The process that was to become the app ended.")

    def _on_message(self, message: Message) -> None:
        # The app's own code can write here too, so nothing is believed that its state does not allow.
        if self._state != "starting" or self._order is None:
            return
        event = message.get("event")
        if event == "phase" and message.get("phase") in _PHASES:
            self._phase(message["phase"])
            if message["phase"] == "ready" and self._order.mode == "serve":
                self._ready(str(message.get("timing", "")))
        elif event == "checked" and self._order.mode == "check":
            self._checked(str(message.get("kind")), str(message.get("variable")))
        elif event == "failed" and isinstance(message.get("failure"), dict):
            failure = Failure.from_wire(message["failure"])
            if failure:
                self._fail(failure)

    def _phase(self, name: str) -> None:
        self._phases.append({"name": name, "at": round((time.monotonic() - self._since) * 1000, 3)})

    def _ready(self, timing: str) -> None:
        self._state = "serving"
        self._cancel_timer()
        # The app has its own hold of the port, and lets go of it when it stops.
        self._listener.close()
        if self._claim:
            self._claim.answer(200, {"ready": True, "phases": self._phases})
        for probe in self._probes:
            probe.answer(204, headers=(("server-timing", timing),))

    def _checked(self, kind: str, variable: str) -> None:
        self._state = "checked"
        self._cancel_timer()
        termination.write(self._settings.termination_log, {"ok": True, "kind": kind})
        if self._claim:
            self._claim.answer(200, {"ready": True, "kind": kind, "variable": variable, "phases": self._phases})
        self._end_when_flushed(0)

    def _fail(self, failure: Failure) -> None:
        self._state, self._failure = "failed", failure
        self._cancel_timer()
        self._server.open()
        termination.write(self._settings.termination_log, termination.fit(failure))
        if self._claim:
            self._claim.answer(422, {"failure": failure.wire()})
        for probe in self._probes:
            probe.answer(500, failure.wire())
        if self._order and self._order.mode == "check":
            self._end_when_flushed(1)
        else:
            self._reactor.call_later(_FAILED_SECONDS, lambda: self._end(1))

    def _too_late(self) -> None:
        assert self._order
        self._child.signal(signal.SIGKILL)
        seconds = self._order.limits.start_seconds
        self.fail("FP_APP_START_TIMEOUT", f"Your app was not ready after {seconds:g} seconds.")

    def _out_of_grace(self) -> None:
        seconds = self._settings.grace
        print(f"fp_runner: the app had not ended after {seconds:g} seconds and was killed", file=sys.stderr, flush=True)
        self._child.signal(signal.SIGKILL)
        self.exit_code = 1

    def _cancel_timer(self) -> None:
        if self._timer:
            self._timer.cancel()

    def _end(self, code: int) -> None:
        self.exit_code = code

    def _end_when_flushed(self, code: int, tries: int = 100) -> None:
        if tries and self._server.has_unsent():
            self._reactor.call_later(_FLUSH_SECONDS / 100, lambda: self._end_when_flushed(code, tries - 1))
        else:
            self._end(code)

    def _answer(self, request: Request, connection: Connection) -> None:
        """While no app serves: before there is one, and after its start has failed."""
        route = request.method, request.path
        claims: dict[tuple[str, str], Callable[[Request, Connection], None]] = {
            ("GET", "/_fp/claim"): self._challenge,
            ("POST", "/_fp/claim"): self._take_order,
        }
        if route == ("GET", "/_fp/alive"):
            connection.answer(204)
        elif request.path == "/_fp/claim" and self._state != "waiting":
            connection.answer(409, _CLAIMED)
        elif route in claims:
            claims[route](request, connection)
        elif self._failure:
            connection.answer(500, self._failure.wire())
        elif route == ("GET", "/_fp/ready") and self._state == "starting":
            self._probes.append(connection)
        else:
            connection.answer(409, _WAITING)

    def _challenge(self, request: Request, connection: Connection) -> None:
        assert self._key
        challenge = self._key.challenge(request.headers.get("fp-nonce", ""))
        if not challenge:
            text = "fp-nonce must be 32 hexadecimal digits, in lower case."
            connection.answer(400, {"code": "FP_POD_BAD_REQUEST", "message": text})
            return
        connection.challenge, proof = challenge
        connection.answer(200, {"nonce": connection.challenge, "proof": proof}, keep=True)

    def _take_order(self, request: Request, connection: Connection) -> None:
        assert self._key
        received = time.monotonic()
        nonce, connection.challenge = connection.challenge, None
        if not nonce or not self._key.accepts(nonce, request.body, request.headers.get("fp-proof", "")):
            text = "Prove that you know this pod's key: GET /_fp/claim on this connection, then fp-proof."
            connection.answer(401, {"code": "FP_POD_WRONG_PROOF", "message": text})
            return
        try:
            given = order.unpack(request.body)
        except OrderError as error:
            connection.answer(400, {"code": "FP_POD_BAD_ORDER", "message": f"{error}"})
            return
        self._claim = connection
        self.start(given, received, 0.0)
