"""The one app of a pod, from its order to its end. Never runs user code."""

import os
import signal
import socket
import time
from dataclasses import asdict, dataclass
from typing import Final, Literal

from fp_runner import cgroups, ending, termination
from fp_runner.app_child import AppChild
from fp_runner.app_folder import AppFolder
from fp_runner.asgi import server_timing
from fp_runner.door import Door
from fp_runner.failure import Code, Failure
from fp_runner.order import Order
from fp_runner.protocol import Message
from fp_runner.reactor import Reactor, Timer

State = Literal["waiting", "receiving", "starting", "serving", "stopping", "failed", "checked"]

# How long a failed start is still answered, for whoever polls.
_FAILED_SECONDS: Final = 3.0
# For the last answer to leave.
_FLUSH_TRIES: Final = 100
_FLUSH_SECONDS: Final = 0.01
_PHASES: Final = ("sandboxed", "imported", "started", "ready")
_OUT_OF_MEMORY: Final = "The app used more than its memory and was ended."


@dataclass(frozen=True)
class Settings:
    """`grace` in seconds, and `walls`: for network policies to hold, before an app's code may run; 0 = no matter."""

    app_dir: str
    termination_log: str
    grace: float
    walls: float = 0.0


class Supervisor:
    """`exit_code` is set once all is over."""

    def __init__(self, reactor: Reactor, listener: socket.socket, child: AppChild, settings: Settings) -> None:
        self.exit_code: int | None = None
        self.door = Door(reactor, listener, self)
        self._reactor = reactor
        self._listener = listener
        self._child = child
        self._settings = settings
        self._folder = AppFolder(settings.app_dir)
        self._given: Order | None = None
        self._state: State = "waiting"
        self._mode: Literal["serve", "check"] = "serve"
        self._since = 0.0
        # By name, when it was reached, in ms.
        self._phases: dict[str, float] = {}
        self._before: dict[str, float] = {}
        self._timer: Timer | None = None
        self._oom_kills = cgroups.own_oom_kills()
        child.on_message = self._on_message

    def start(self, given: Order, since: float, before: dict[str, float]) -> None:
        """Carries out the order. Times count from `since`, a time.monotonic(); `before` was reached by then."""
        self._state, self._given, self._mode = "receiving", given, given.mode
        self._since, self._before = since, before
        try:
            self._folder.begin(given)
        except OSError as error:
            self._cannot_write(error)
            return
        self._launch_if_whole()

    def take_order(self, given: Order, arrived: float) -> None:
        """See door.Recipient."""
        self.start(given, arrived, {})

    def take_content(self, content: bytes) -> None:
        """See door.Recipient."""
        try:
            self._folder.receive(content)
        except OSError as error:
            self._cannot_write(error)
            return
        self._launch_if_whole()

    def drop_order(self) -> None:
        """See door.Recipient."""
        self._state = "waiting"

    @property
    def wanted(self) -> list[str]:
        """See door.Recipient."""
        return self._folder.wanted

    def _cannot_write(self, error: OSError) -> None:
        self.fail("FP_SANDBOX_FAILED", f"The app's files could not be written: {error}")

    def _launch_if_whole(self) -> None:
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
            "walls": self._settings.walls,
        }
        self._child.send(message, (1, 2, self._listener.fileno()) if given.mode == "serve" else (1, 2))

    def fail(self, code: Code, text: str) -> None:
        """The start failed, for a reason that the app itself did not tell."""
        _log(text)
        self._fail(Failure(code, text))

    def stop(self) -> None:
        """SIGTERM."""
        # It may be ready and have said so.
        self._child.read()
        if self._state == "serving":
            self._state = "stopping"
            self._child.send({"op": "stop", "grace_ms": self._settings.grace * 1000})
            self._child.signal(signal.SIGTERM)
            self._reactor.call_later(self._settings.grace, self._out_of_grace)
        elif self._state == "failed":
            self.exit_code = 1
        elif self._state in ("waiting", "receiving", "starting"):
            # There is nothing to finish.
            self._state, self.exit_code = "stopping", 0
            self._child.signal(signal.SIGKILL)

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
        out_of_memory = _OUT_OF_MEMORY if cgroups.own_oom_kills() > self._oom_kills else None
        end, text = ending.explain(code, number, out_of_memory)
        reason: Code = "FP_APP_OUT_OF_MEMORY" if end == "out_of_memory" else "FP_APP_CRASHED"
        # It may have crashed on its own just as it was told to stop; that is worth telling.
        if self._state == "stopping" and (end in ("exited", "killed") or number == signal.SIGTERM):
            self.exit_code = self.exit_code or 0
        elif self._state in ("serving", "stopping"):
            _log(text)
            termination.write(self._settings.termination_log, termination.fit(Failure(reason, text)))
            self.exit_code = 1
        elif self._state == "starting":
            self.fail(reason, text)
        elif self._state in ("waiting", "receiving"):
            self.fail("FP_SANDBOX_FAILED", "The process that was to become the app ended.")

    def _on_message(self, message: Message) -> None:
        # The app's own code can write here too, so nothing is believed that does not fit.
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
        # The app has its own hold of the port, and lets go of it when it stops.
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
        self.door.started(timing, {"phases": phases, **more})

    def _fail(self, failure: Failure) -> None:
        self._state = "failed"
        self._cancel_timer()
        termination.write(self._settings.termination_log, termination.fit(failure))
        self.door.failed(failure)
        if self._mode == "check":
            self._end_when_told(1)
        else:
            self._reactor.call_later(_FAILED_SECONDS, lambda: self._end(1))

    def _too_late(self, seconds: float) -> None:
        self._child.signal(signal.SIGKILL)
        self.fail("FP_APP_START_TIMEOUT", f"Your app was not ready after {seconds:g} seconds.")

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
        if tries and self.door.has_unsent():
            self._reactor.call_later(_FLUSH_SECONDS, lambda: self._end_when_told(code, tries - 1))
        else:
            self._end(code)


def _log(text: str) -> None:
    """In the app's log, where its owner looks."""
    try:
        os.write(2, f"fp_runner: {text}\n".encode())
    except OSError:
        return
