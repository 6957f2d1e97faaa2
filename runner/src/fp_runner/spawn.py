"""Forks processes that are about to become apps, and watches over them until they are gone."""

import os
import signal
import socket
from collections.abc import Callable
from typing import NoReturn

from fp_runner import channel, init, namespaces
from fp_runner.protocol import Message
from fp_runner.reactor import Reactor
from fp_runner.sandbox import Blueprint

# What an app without root believes its user to be until it is told; any number does.
_INNER_ID = 65534


class Child:
    """One sandbox: pid 1 of a namespace, and the app in it. `on_message` and `on_end` may be set at any time."""

    def __init__(self, reactor: Reactor, pid: int, control: socket.socket, status_fd: int) -> None:
        self._reactor = reactor
        self._pid = pid
        self._pidfd = os.pidfd_open(pid)
        self._control = control
        self._status_fd = status_fd
        self._app_pidfd: int | None = None
        self.app_pid: int | None = None
        self.name = f"{pid}"
        self.on_message: Callable[[Message], None] = lambda message: None
        self.on_end: Callable[[int | None], None] = lambda status: None
        reactor.watch(control.fileno(), self._read)
        reactor.watch(self._pidfd, self._reap)

    @property
    def pid(self) -> int:
        """Of the namespace's first process, as the host sees it."""
        return self._pid

    def send(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        """To whoever of the two listens. A child that is gone is told of by `on_end`."""
        try:
            channel.send(self._control, message, fds)
        except OSError:
            return

    def terminate(self) -> None:
        """SIGTERM to the app itself (pid 1 would have to pass it on)."""
        if self._app_pidfd is not None:
            _signal(self._app_pidfd, signal.SIGTERM)

    def kill(self, *, through_app: bool) -> None:
        """SIGKILL to all. Without root there is a process before pid 1, which ends after the namespace only if the
        app is what is killed."""
        if through_app and self._app_pidfd is not None:
            _signal(self._app_pidfd, signal.SIGKILL)
        else:
            _signal(self._pidfd, signal.SIGKILL)

    def _read(self) -> None:
        try:
            received = channel.receive(self._control)
        except BlockingIOError:
            return
        except (OSError, ValueError):
            # User code can write to this socket too; nonsense harms nobody.
            return
        if received is None:
            self._reactor.unwatch(self._control.fileno())
            return
        for fd in received.fds:
            os.close(fd)
        if received.message.get("event") == "waiting" and self.app_pid is None and received.pid:
            try:
                self._app_pidfd = os.pidfd_open(received.pid)
            except OSError:
                # Gone already: its end is about to be told.
                return
            self.app_pid = received.pid
        self.on_message(received.message)

    def _reap(self) -> None:
        os.waitpid(self._pid, 0)
        # What it said last, before its end is told.
        for _ in range(16):
            self._read()
        try:
            text = os.read(self._status_fd, 64)
        except BlockingIOError:
            text = b""
        for fd in (self._control.fileno(), self._pidfd):
            self._reactor.unwatch(fd)
        self._control.close()
        for number in (self._pidfd, self._status_fd, self._app_pidfd):
            if number is not None:
                os.close(number)
        self.on_end(int(text) if text.strip().isdigit() else None)


class Spawner:
    """Forks children into namespaces."""

    def __init__(self, reactor: Reactor, blueprint: Blueprint) -> None:
        self._reactor = reactor
        self._blueprint = blueprint
        self._own_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)

    def spawn(self) -> Child:
        """Forks. Raises OSError where the machine has no room."""
        ours, theirs = channel.pair()
        status_read, status_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if self._blueprint.walled and self._blueprint.means.own_uid:
                pid = namespaces.fork_into_pid_namespace(self._own_namespace)
            else:
                pid = os.fork()
            if pid == 0:
                self._child(theirs, status_write)
        except OSError:
            ours.close()
            os.close(status_read)
            raise
        finally:
            theirs.close()
            os.close(status_write)
        return Child(self._reactor, pid, ours, status_read)

    def _child(self, control: socket.socket, status_fd: int) -> NoReturn:
        try:
            os.setsid()
            _close_all_but({control.fileno(), status_fd})
            if self._blueprint.means.own_uid or not self._blueprint.walled:
                init.run(self._blueprint, control, status_fd)
            namespaces.fork_through_user_namespace(
                lambda: init.run(self._blueprint, control, status_fd), _INNER_ID, _INNER_ID
            )
        except BaseException as error:
            os.write(2, f"fp_runner: a child ended early: {error!r}\n".encode())
        finally:
            os._exit(1)


def _close_all_but(kept: set[int]) -> None:
    """Every other fd of the zygote's: other apps' sockets and logs, the platform's line."""
    low = 3
    for fd in sorted(kept):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, 2**31 - 1)


def _signal(pidfd: int, number: signal.Signals) -> None:
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return
