"""The manager's side of the helper process (helper_loop.py)."""

import os
import socket
import traceback
from typing import Final

from fp_runner import channel
from fp_runner.cgroups import Cgroups
from fp_runner.helper_loop import HelperLoop
from fp_runner.network.report import NetworkReport
from fp_runner.network.settings import Settings
from fp_runner.protocol import Message

_SO_SNDBUFFORCE: Final = 32


class HelperProcess:
    """Puts processes into cgroups and gives them networks.

    Answers arrive on `channel` as {"name", "error"} with the descriptor of a network namespace. When the process ends,
    the channel is closed.
    """

    def __init__(self, groups: Cgroups, settings: Settings | None) -> None:
        """`settings` is None if apps get no network from the helper. Raises OSError if it does not start."""
        self.channel, theirs = channel.pair()
        self.pid = os.fork()
        if self.pid == 0:
            self.channel.close()
            try:
                HelperLoop(groups, theirs).serve(settings)
            except Exception:
                traceback.print_exc()
            finally:
                os._exit(1)
        theirs.close()
        try:
            # Room for thousands of requests, so that a burst of starts never fills the channel.
            self.channel.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, 8 * 1024 * 1024)
        except OSError:
            pass
        self.network = self._first_report()

    def attach(self, name: str, pid: int) -> None:
        """Requests the groups `name` and a network for the process `pid`, and moves `pid` into the groups."""
        self._ask({"op": "attach", "name": name, "pid": pid})

    def remove(self, name: str) -> None:
        """Requests the removal of the groups `name`, once they are empty, and of the network."""
        self._ask({"op": "remove", "name": name})

    def place(self, name: str, pid: int) -> None:
        """Requests that a process of the platform is moved into the group `name`. There is no answer."""
        self._ask({"op": "place", "name": name, "pid": pid})

    def close(self) -> None:
        """Ends the process and waits until it has removed everything."""
        self.channel.close()
        os.waitpid(self.pid, 0)

    def _ask(self, message: Message) -> None:
        try:
            channel.send(self.channel, message)
        except (BrokenPipeError, ConnectionResetError):
            # The helper process has ended, which the watcher of the channel notices next.
            return

    def _first_report(self) -> NetworkReport:
        self.channel.setblocking(True)
        received = channel.receive(self.channel)
        self.channel.setblocking(False)
        if received is None:
            raise ChildProcessError("the helper process ended while it started")
        return NetworkReport(received.message["why"], tuple(received.message["notes"]))
