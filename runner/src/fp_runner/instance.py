"""One started app, from its "start" to its "exited"."""

import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final, Literal

from fp_runner import ending
from fp_runner.child import Child
from fp_runner.failure import Failure, StartCode, too_slow
from fp_runner.protocol import Message, StartRequest
from fp_runner.reactor import Reactor, Timer

Reason = ending.End | Literal["stopped"]

_PHASES: Final = ("sandboxed", "imported", "started", "ready")
# The longest name that is accepted from an app.
_MAX_NAME: Final = 200
_BACKLOG: Final = 1024


class Instance:
    """Owns the app's socket file and timers. `on_gone` is called last, once."""

    def __init__(
        self,
        request: StartRequest,
        begun: float,
        reactor: Reactor,
        emit: Callable[[Message], None],
        on_gone: Callable[["Instance"], None],
    ) -> None:
        self.request = request
        self.child: Child | None = None
        self.oom_kills: Callable[[], int] = lambda: 0
        self.kill_through_app = False
        self._begun = begun
        self._reactor = reactor
        self._emit = emit
        self._on_gone = on_gone
        self._phases: list[str] = []
        self._failed = False
        self._stop: Literal["stopped", "killed", "timeout"] | None = None
        self._timer: Timer | None = None
        self._listener: socket.socket | None = None
        self._log: int | None = None
        self._socket_inode: int | None = None

    def open_files(self) -> None:
        """Binds the socket and opens the log. Raises OSError."""
        if not os.path.isdir(self.request.app_dir):
            raise FileNotFoundError(f"the folder {self.request.app_dir} does not exist")
        # O_NOFOLLOW, because an app could have put a symbolic link there.
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._log = os.open(self.request.log, flags, 0o600)
        if self.request.socket is None:
            return
        try:
            os.unlink(self.request.socket)
        except FileNotFoundError:
            pass
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener = listener
        old = os.umask(0o177)
        try:
            listener.bind(self.request.socket)
        finally:
            os.umask(old)
        self._socket_inode = os.lstat(self.request.socket).st_ino
        listener.listen(_BACKLOG)

    def assign(self, child: Child, limit: Callable[[], None]) -> None:
        """Sends a waiting child its start request."""
        request = self.request
        fds = [self._log, self._log, self._listener.fileno() if self._listener else None]
        try:
            limit()
        except OSError as error:
            self._fail("FP_SANDBOX_FAILED", f"The app's limits could not be set: {error}")
            self._kill()
            return
        child.send(
            {
                "mode": request.mode,
                "app_dir": request.app_dir,
                "storage": request.storage,
                "entrypoint": request.entrypoint,
                "env": request.env,
                "uid": request.uid,
                "gid": request.gid,
                "limits": asdict(request.limits),
                "log_tag": request.log_tag,
            },
            tuple(fd for fd in fds if fd is not None),
        )
        self._close_files()
        ms = self._ms()
        self._event("started", pid=child.app_pid, ms=ms)
        self._event("phase", phase="forked", ms=ms)

    def begin(self, child: Child) -> None:
        """Receives the child's messages and its end from now on."""
        self.child = child
        child.on_message, child.on_violation, child.on_end = self._on_message, self._on_violation, self._on_end
        self._timer = self._reactor.call_later(self.request.limits.kill_seconds, self._too_late)

    def refuse(self, text: str) -> None:
        """The start could not be attempted: emits "failed" and "exited"."""
        self._fail("FP_SANDBOX_FAILED", text)
        self._close_files()
        self._unlink_socket()
        self._event("exited", code=None, signal=None, reason="crashed", message=text)
        self._on_gone(self)

    def stop(self, grace_ms: float) -> None:
        """Lets the app finish its requests. An app that is not ready has no requests and is killed."""
        self._unlink_socket()
        if self._stop or self.child is None:
            return
        self._stop = "stopped"
        if not self._is_ready():
            self._kill()
            return
        self.child.send({"op": "stop", "grace_ms": grace_ms})
        self.child.terminate()
        if self._timer:
            self._timer.cancel()
        self._timer = self._reactor.call_later(grace_ms / 1000, self._out_of_grace)

    def kill(self) -> None:
        """Kills the app immediately."""
        self._unlink_socket()
        self._stop = self._stop or "killed"
        self._kill()

    def _kill(self) -> None:
        if self.child:
            self.child.kill(through_app=self.kill_through_app)

    def _out_of_grace(self) -> None:
        self._stop = "killed"
        self._kill()

    def _too_late(self) -> None:
        seconds = self.request.limits.start_seconds
        self._fail("FP_APP_START_TIMEOUT", too_slow(seconds))
        self._stop = "timeout"
        self._kill()

    def _is_ready(self) -> bool:
        return "ready" in self._phases

    def _on_message(self, message: Message) -> None:
        """The app's code can also write to this socket. A message that does not belong to a start ends the app."""
        event = message.get("event")
        if event == "phase" and message.get("phase") in _PHASES[len(self._phases) :][:1]:
            self._reached(message["phase"])
        elif event == "checked" and self.request.mode == "check" and not self._is_ready():
            names = {key: str(message.get(key))[:_MAX_NAME] for key in ("kind", "variable")}
            self._told_all()
            self._event("checked", **names)
        elif event == "failed" and (told := Failure.from_wire(message.get("failure"))):
            self._told_all()
            if not (self._failed or self._stop):
                self._failed = True
                self._event("failed", failure=told.wire())
        else:
            self._on_violation("a message that is no part of a start")

    def _reached(self, phase: str) -> None:
        self._phases.append(phase)
        self._event("phase", phase=phase, ms=self._ms())
        if phase == "ready":
            self._cancel_timer()
            self._told_all()

    def _told_all(self) -> None:
        """Stops reading after the last message of a start, because only the app's code can write more."""
        if self.child:
            self.child.stop_listening()

    def _on_violation(self, text: str) -> None:
        self._fail(
            "FP_APP_STARTUP_FAILED",
            f"The app was ended because it wrote to the runner's control channel ({text}).",
        )
        self._kill()

    def _fail(self, code: StartCode, text: str) -> None:
        if not self._failed:
            self._failed = True
            self._event("failed", failure=Failure(code, text).wire())

    def _on_end(self, status: int | None) -> None:
        self._cancel_timer()
        self._close_files()
        self._unlink_socket()
        code, number = ending.decode(status)
        reason, text = self._explain(code, number)
        name = signal.Signals(number).name if number else None
        self._event("exited", code=code, signal=name, reason=reason, message=text)
        self._on_gone(self)

    def _explain(self, code: int | None, number: int | None) -> tuple[Reason, str]:
        if self._stop == "killed":
            return "killed", "The app was killed."
        if self._stop == "timeout":
            return "killed", "The app did not start in time and was killed."
        out_of_memory = None
        if number == signal.SIGKILL and self.oom_kills() > 0:
            mib = self.request.limits.memory_bytes // (1024 * 1024)
            out_of_memory = f"The app used more than its {mib} MiB of memory and was ended."
        # The platform stops an app when its connections break, even before it learns that the process has ended. So an
        # app that crashed may count as stopped here; its owner should still see the crash.
        if self._stop and not out_of_memory and (code == 0 or number in (signal.SIGTERM, signal.SIGKILL)):
            return "stopped", "The app was stopped."
        return ending.explain(code, number, out_of_memory)

    def _event(self, name: str, **more: Any) -> None:
        self._emit({"event": name, "id": self.request.id, **more})

    def _ms(self) -> float:
        return round((time.monotonic() - self._begun) * 1000, 3)

    def _cancel_timer(self) -> None:
        if self._timer:
            self._timer.cancel()

    def _close_files(self) -> None:
        if self._listener:
            self._listener.close()
        if self._log is not None:
            os.close(self._log)
        self._listener = self._log = None

    def _unlink_socket(self) -> None:
        # A later instance may have bound the same path, so only this instance's socket is removed.
        if self.request.socket is None or self._socket_inode is None:
            return
        try:
            if os.lstat(self.request.socket).st_ino == self._socket_inode:
                os.unlink(self.request.socket)
        except OSError:
            pass
        self._socket_inode = None
