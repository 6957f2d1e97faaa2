"""The supervisor's side of the app in a pod: it forks the process ahead, sends it its start request and watches it."""

import gc
import os
import signal
from collections.abc import Callable
from typing import NoReturn

from fp_runner import channel
from fp_runner.protocol import Message
from fp_runner.reactor import Reactor

# More than an app sends from its start to its end.
_LAST_MESSAGES = 16


class AppChild:
    """The constructor forks the process. It raises OSError if the machine has no room for one."""

    def __init__(self, reactor: Reactor, *, warm: bool) -> None:
        self._reactor = reactor
        self.on_message: Callable[[Message], None] = lambda message: None
        self._control, theirs = channel.pair()
        self.pid = os.fork()
        if self.pid == 0:
            _become_app(theirs.fileno(), warm=warm)
        theirs.close()
        reactor.watch(self._control.fileno(), self.read)

    def send(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        """Does nothing if the child has ended: its end is reported elsewhere."""
        try:
            channel.send(self._control, message, fds)
        except OSError:
            return

    def signal(self, number: signal.Signals) -> None:
        """The pid cannot belong to another process before this one has been reaped."""
        os.kill(self.pid, number)

    def read(self) -> None:
        """Passes on the messages that have arrived."""
        for _ in range(_LAST_MESSAGES):
            try:
                received = channel.receive_report(self._control)
            except (OSError, ValueError):
                # No message, or an invalid one: user code can write to this socket too.
                return
            if received is None:
                self._reactor.unwatch(self._control.fileno())
                return
            self.on_message(received.message)


def _become_app(control_fd: int, *, warm: bool) -> NoReturn:
    """In the child. It keeps the socket to the supervisor and its output, and no other descriptor."""
    try:
        signal.set_wakeup_fd(-1)
        os.setsid()
        os.dup2(control_fd, 3, inheritable=False)
        os.closerange(4, 2**31 - 1)
        gc.disable()
        # Imported here, after the fork: the supervisor does not need it and stays small, and shares no page with the
        # app that either would have to copy.
        import socket

        from fp_runner import app_process, preload, session_key
        from fp_runner.pod_environment import PodEnvironment

        if warm:
            preload.preload()
            gc.collect()
            gc.freeze()
        else:
            session_key.install()
        app_process.run(PodEnvironment(), socket.socket(fileno=3), spare=False)
    except BaseException as error:
        os.write(2, f"fp_runner: the app's process ended early: {error!r}\n".encode())
    finally:
        os._exit(1)
