"""Manages the one app of a pod, from its start request to its end. Never runs user code."""

import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, Literal

from fp_runner import cgroups, ending, termination
from fp_runner.app_child import AppChild
from fp_runner.app_folder import AppFolder
from fp_runner.asgi import server_timing
from fp_runner.failure import Code, Failure, too_slow
from fp_runner.pod_api import PodApi
from fp_runner.pod_start_request import PodStartRequest
from fp_runner.protocol import Message
from fp_runner.reactor import Reactor, Timer

if TYPE_CHECKING:
    from fp_runner.claim import ClaimKey

State = Literal["waiting", "receiving", "starting", "serving", "stopping", "failed", "checked"]

# How long a pod still reports a failed start to clients that poll.
_FAILED_SECONDS: Final = 3.0
# How long to wait until the last answer has been sent.
_FLUSH_TRIES: Final = 100
_FLUSH_SECONDS: Final = 0.01
_PHASES: Final = ("sandboxed", "imported", "started", "ready")
_OUT_OF_MEMORY: Final = "The app used more than its memory and was ended."


@dataclass(frozen=True)
class Settings:
    """Times are in seconds. For `network_policy_seconds` see network_policies.py."""

    app_dir: str
    termination_log: str
    grace: float
    network_policy_seconds: float = 0.0


class Supervisor:
    """The pod ends once `exit_code` is set."""

    def __init__(self, reactor: Reactor, listener: socket.socket, child: AppChild, settings: Settings) -> None:
        self.exit_code: int | None = None
        self.api = PodApi(reactor, listener, self)
        self._reactor = reactor
        self._listener = listener
        self._child = child
        self._settings = settings
        self._folder = AppFolder(settings.app_dir)
        self._given: PodStartRequest | None = None
        self._state: State = "waiting"
        self._mode: Literal["serve", "check"] = "serve"
        self._since = 0.0
        # When each phase was reached, in ms.
        self._phases: dict[str, float] = {}
        self._before: dict[str, float] = {}
        self._timer: Timer | None = None
        self._oom_kills = cgroups.own_oom_kills()
        self._child_waits = False
        # The key for claims of this pod, until the child is ready for one.
        self._offered: ClaimKey | None = None
        child.on_message = self._on_message

    def offer(self, key: "ClaimKey", *, at_once: bool) -> None:
        """Allows claims of this pod with the key: immediately, or once the app's process has imported the
        frameworks."""
        if at_once or self._child_waits:
            self.api.wait(key)
        else:
            self._offered = key

    def start(self, given: PodStartRequest, since: float, before: dict[str, float] | None = None) -> None:
        """See pod_api.Recipient. `before`: when earlier phases were reached, in ms since `since`."""
        self._state, self._given, self._mode = "receiving", given, given.mode
        self._since, self._before = since, before or {}
        self._write(lambda: self._folder.begin(given))

    def receive_content(self, content: bytes) -> None:
        """See pod_api.Recipient."""
        self._write(lambda: self._folder.receive(content))

    def cancel(self) -> None:
        """See pod_api.Recipient."""
        self._state = "waiting"

    @property
    def wanted(self) -> list[str]:
        """See pod_api.Recipient."""
        return self._folder.wanted

    def _write(self, write: Callable[[], None]) -> None:
        """Writes files of the app, and starts the app once all files are written."""
        try:
            write()
        except OSError as error:
            self.fail("FP_SANDBOX_FAILED", f"The app's files could not be written: {error}")
            return
        self._launch_if_complete()

    def _launch_if_complete(self) -> None:
        given = self._given
        if not given or self._folder.wanted:
            return
        self._state = "starting"
        seconds = given.limits.start_seconds
        self._timer = self._reactor.call_later(given.limits.kill_seconds, lambda: self._too_late(seconds))
        self._reach("written")
        message = {
            "mode": given.mode,
            "app_dir": self._settings.app_dir,
            "entrypoint": given.entrypoint,
            "env": given.env,
            "limits": asdict(given.limits),
            "since": self._since,
            "before": self._before,
            "network_policy_seconds": self._settings.network_policy_seconds,
        }
        self._child.send(message, (1, 2, self._listener.fileno()) if given.mode == "serve" else (1, 2))

    def fail(self, code: Code, text: str) -> None:
        """The start failed for a reason that the app has not reported."""
        _log(text)
        self._fail(Failure(code, text))

    def stop(self) -> None:
        """Handles SIGTERM."""
        # The app's message that it is ready may already have arrived.
        self._child.read()
        if self._state == "serving":
            self._state = "stopping"
            self._child.send({"op": "stop", "grace_ms": self._settings.grace * 1000})
            self._child.signal(signal.SIGTERM)
            self._reactor.call_later(self._settings.grace, self._out_of_grace)
        elif self._state == "failed":
            self.exit_code = 1
        elif self._state in ("waiting", "receiving", "starting"):
            # The app has no requests to finish.
            self._state, self.exit_code = "stopping", 0
            self._child.signal(signal.SIGKILL)

    def reap(self) -> None:
        """Handles SIGCHLD: the app has ended, or an orphan whose parent is now this process, the container's first."""
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
        out_of_memory = _OUT_OF_MEMORY if cgroups.own_oom_kills() > self._oom_kills else None
        end, text = ending.explain(code, number, out_of_memory)
        reason: Code = "FP_APP_OUT_OF_MEMORY" if end == "out_of_memory" else "FP_APP_CRASHED"
        # If the app crashed after it was told to stop, its owner should know.
        if self._state == "stopping" and (end in ("exited", "killed") or number == signal.SIGTERM):
            self.exit_code = self.exit_code or 0
        elif self._state in ("serving", "stopping"):
            _log(text)
            termination.write(self._settings.termination_log, termination.fit(Failure(reason, text)))
            self.exit_code = 1
        elif self._state == "starting":
            self.fail(reason, text)
        elif self._state in ("waiting", "receiving"):
            self.fail("FP_SANDBOX_FAILED", "The process that waited to become the app has ended. Start the app again.")

    def _on_message(self, message: Message) -> None:
        if self._state == "waiting" and message.get("event") == "waiting":
            self._child_waits = True
            if self._offered:
                self.api.wait(self._offered)
                self._offered = None
            return
        # The app's code can also write to this socket, so invalid messages are ignored.
        if self._state != "starting":
            return
        event, phase, failed = (message.get(key) for key in ("event", "phase", "failure"))
        if event == "phase" and phase in _PHASES and phase not in self._phases:
            self._reach(phase)
            if phase == "ready" and self._mode == "serve":
                self._ready()
        elif event == "checked" and self._mode == "check":
            self._checked(str(message.get("kind")), str(message.get("variable")))
        elif event == "failed" and isinstance(failed, dict) and (failure := Failure.from_wire(failed)):
            self._fail(failure)

    def _reach(self, phase: str) -> None:
        self._phases[phase] = round((time.monotonic() - self._since) * 1000, 3)

    def _ready(self) -> None:
        self._state = "serving"
        self._cancel_timer()
        # The app has a descriptor of the port too, and closes it when it stops.
        self._listener.close()
        self._started()

    def _checked(self, kind: str, variable: str) -> None:
        self._state = "checked"
        self._cancel_timer()
        termination.write(self._settings.termination_log, {"ok": True, "kind": kind})
        self._started(kind=kind, variable=variable)
        self._end_when_told(0)

    def _started(self, **more: str) -> None:
        named = {name: self._phases[name] for name in ("imported", "ready") if name in self._phases}
        timing = server_timing(self._before | named)
        phases = [{"name": name, "at": reached} for name, reached in self._phases.items()]
        self.api.started(timing, {"phases": phases, **more})

    def _fail(self, failure: Failure) -> None:
        self._state = "failed"
        self._cancel_timer()
        termination.write(self._settings.termination_log, termination.fit(failure))
        self.api.failed(failure)
        if self._mode == "check":
            self._end_when_told(1)
        else:
            self._reactor.call_later(_FAILED_SECONDS, lambda: self._end(1))

    def _too_late(self, seconds: float) -> None:
        self._child.signal(signal.SIGKILL)
        self.fail("FP_APP_START_TIMEOUT", too_slow(seconds))

    def _out_of_grace(self) -> None:
        _log(f"The app had not ended after {self._settings.grace:g} seconds and was killed.")
        self._child.signal(signal.SIGKILL)
        self.exit_code = 1

    def _cancel_timer(self) -> None:
        if self._timer:
            self._timer.cancel()

    def _end(self, code: int) -> None:
        self.exit_code = code

    def _end_when_told(self, code: int, tries: int = _FLUSH_TRIES) -> None:
        if tries and self.api.has_unsent():
            self._reactor.call_later(_FLUSH_SECONDS, lambda: self._end_when_told(code, tries - 1))
        else:
            self._end(code)


def _log(text: str) -> None:
    """Writes to the app's log, where its owner looks."""
    try:
        os.write(2, f"fp_runner: {text}\n".encode())
    except OSError:
        return
