"""The manager's view of a process that becomes an app, from the request to fork it until its end."""

import os
import signal
from collections.abc import Callable
from typing import Final

from fp_runner import channel
from fp_runner.failure import Failure
from fp_runner.forks import Forks
from fp_runner.protocol import Message
from fp_runner.reactor import Reactor

# A start takes at most seven messages, one of them with a traceback. User code can write to the same socket.
_MAX_MESSAGES: Final = 16
_MAX_BYTES: Final = 160 * 1024


class Child:
    """One sandbox: pid 1 of a namespace, and the app in it.

    These callbacks may be set at any time: `on_forked`, `on_message`, `on_violation` (the child sent an invalid message
    or too many; nothing more is read) and `on_end` (with the app's wait status, if known).
    """

    def __init__(self, reactor: Reactor, forks: Forks, name: str) -> None:
        """Requests the fork. Raises OSError if the machine does not have the resources."""
        self._reactor = reactor
        self._control, theirs = channel.pair()
        self._status_fd, status_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._pidfd: int | None = None
        self._app_pidfd: int | None = None
        self._to_kill: bool | None = None
        self._messages, self._bytes = 0, 0
        self._listening = True
        self.name = name
        self.pid = 0
        self.app_pid: int | None = None
        self.on_forked: Callable[[], None] = lambda: None
        self.on_message: Callable[[Message], None] = lambda message: None
        self.on_violation: Callable[[str], None] = lambda text: None
        self.on_end: Callable[[int | None], None] = lambda status: None
        try:
            self._release = forks.fork(theirs.fileno(), status_write, self._forked, self._not_forked)
        except OSError:
            self._control.close()
            os.close(self._status_fd)
            raise
        finally:
            theirs.close()
            os.close(status_write)
        reactor.watch(self._control.fileno(), self._read)

    def send(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        """Sends a message to pid 1 or the app. Does nothing if the child has ended, which `on_end` reports."""
        try:
            channel.send(self._control, message, fds)
        except OSError:
            return

    def stop_listening(self) -> None:
        """Ignores everything that the child sends from now on."""
        if self._listening:
            self._listening = False
            self._reactor.unwatch(self._control.fileno())

    def terminate(self) -> None:
        """Sends SIGTERM to the app itself, because pid 1 does not forward signals."""
        if self._app_pidfd is not None:
            _signal(self._app_pidfd, signal.SIGTERM)

    def kill(self, *, through_app: bool) -> None:
        """Sends SIGKILL to all. Without root another process precedes pid 1. That process ends after the namespace only
        if the app itself is killed."""
        if self._pidfd is None:
            self._to_kill = through_app
        elif through_app and self._app_pidfd is not None:
            _signal(self._app_pidfd, signal.SIGKILL)
        else:
            _signal(self._pidfd, signal.SIGKILL)

    def _forked(self, pid: int, pidfd: int) -> None:
        self.pid, self._pidfd = pid, pidfd
        self._reactor.watch(pidfd, self._ended)
        if self._to_kill is not None:
            self.kill(through_app=self._to_kill)
        self.on_forked()

    def _not_forked(self, why: str) -> None:
        text = f"The app could not be started: {why}"
        self.on_message({"event": "failed", "failure": Failure("FP_SANDBOX_FAILED", text).wire()})
        self._ended()

    def _read(self) -> None:
        try:
            received = channel.receive_report(self._control)
        except BlockingIOError:
            return
        except (OSError, ValueError) as error:
            self._violated(str(error))
            return
        if received is None:
            self.stop_listening()
            return
        self._messages += 1
        self._bytes += received.size
        if self._messages > _MAX_MESSAGES or self._bytes > _MAX_BYTES:
            self._violated("too many messages")
            return
        if received.message.get("event") == "waiting" and self.app_pid is None and received.pid:
            try:
                self._app_pidfd = os.pidfd_open(received.pid)
            except OSError:
                # It has already ended; `on_end` follows.
                return
            self.app_pid = received.pid
        self.on_message(received.message)

    def _violated(self, text: str) -> None:
        self.stop_listening()
        self.on_violation(text)

    def _ended(self) -> None:
        # Reads the last messages before it reports the end.
        for _ in range(_MAX_MESSAGES):
            if self._listening:
                self._read()
        self.stop_listening()
        try:
            text = os.read(self._status_fd, 64)
        except BlockingIOError:
            text = b""
        if self._pidfd is not None:
            self._reactor.unwatch(self._pidfd)
        self._control.close()
        for number in (self._pidfd, self._status_fd, self._app_pidfd):
            if number is not None:
                os.close(number)
        self._release()
        self.on_end(int(text) if text.strip().isdigit() else None)


def _signal(pidfd: int, number: signal.Signals) -> None:
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return
