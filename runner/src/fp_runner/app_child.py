"""The supervisor's side of the app in a pod: forks the process in advance, sends it its start request and watches
it."""

import gc
import os
import signal
from collections.abc import Callable
from typing import NoReturn

from fp_runner import channel
from fp_runner.protocol import Message
from fp_runner.reactor import Reactor

# More than an app sends in its lifetime.
_LAST_MESSAGES = 16


class AppChild:
    """The constructor forks the process. It raises OSError if the machine does not have the resources."""

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
        """Sends a message. Does nothing if the child has ended, which is reported elsewhere."""
        try:
            channel.send(self._control, message, fds)
        except OSError:
            return

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal. The pid cannot belong to another process before this one has been reaped."""
        os.kill(self.pid, number)

    def read(self) -> None:
        """Passes the messages that have arrived to `on_message`."""
        for _ in range(_LAST_MESSAGES):
            try:
                received = channel.receive_report(self._control)
            except (OSError, ValueError):
                # There is no message, or an invalid one, because user code can write to this socket too.
                return
            if received is None:
                self._reactor.unwatch(self._control.fileno())
                return
            self.on_message(received.message)


def _become_app(control_fd: int, *, warm: bool) -> NoReturn:
    """Runs in the child, which keeps only its socket to the supervisor and its output."""
    try:
        signal.set_wakeup_fd(-1)
        os.setsid()
        os.dup2(control_fd, 3, inheritable=False)
        os.closerange(4, 2**31 - 1)
        gc.disable()
        # Imported after the fork: the supervisor does not need these modules and stays small, and no page is shared
        # that one of the two processes would have to copy.
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
