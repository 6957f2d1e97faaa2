"""A helper process that moves others into cgroups, since that blocks for up to 15 ms and the zygote must not.

It outlives a killed zygote for a moment and removes the groups that are left.
"""

import os
import select
import socket
import time
from typing import Final, NoReturn

from fp_runner import channel
from fp_runner.cgroups import Cgroups

_RETRY_SECONDS: Final = 0.02
_LAST_SECONDS: Final = 5.0
_SO_SNDBUFFORCE: Final = 32


class Usher:
    """The zygote's side. Answers come to `channel` as {"name", "error"}."""

    def __init__(self, groups: Cgroups) -> None:
        self.groups = groups
        self.channel, theirs = channel.pair()
        self.pid = os.fork()
        if self.pid == 0:
            self.channel.close()
            try:
                _serve(groups, theirs)
            finally:
                os._exit(1)
        theirs.close()
        try:
            # Room for thousands of requests, so that a burst of starts never finds the line full.
            self.channel.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, 8 * 1024 * 1024)
        except OSError:
            pass

    def attach(self, name: str, pid: int) -> None:
        """Asks for the groups `name` to be made and `pid` to be moved into them."""
        channel.send(self.channel, {"op": "attach", "name": name, "pid": pid})

    def remove(self, name: str) -> None:
        """Asks for the groups `name` to be removed, once they are empty."""
        channel.send(self.channel, {"op": "remove", "name": name})

    def close(self) -> None:
        """Ends the helper, after it has removed everything."""
        self.channel.close()
        os.waitpid(self.pid, 0)


def _serve(groups: Cgroups, control: socket.socket) -> NoReturn:
    leaving: list[str] = []
    poll = select.poll()
    poll.register(control, select.POLLIN)
    while True:
        leaving = [name for name in leaving if not groups.remove(name)]
        if not poll.poll(_RETRY_SECONDS * 1000 if leaving else None):
            continue
        received = channel.receive(control)
        if received is None:
            _remove_all(groups)
            os._exit(0)
        name = received.message["name"]
        if received.message["op"] == "remove":
            leaving.append(name)
        else:
            answer = {"name": name, "error": _attach(groups, name, received.message["pid"])}
            try:
                channel.send(control, answer)
            except OSError:
                # The zygote was killed meanwhile; the next receive says so, and then there is cleaning to do.
                continue


def _attach(groups: Cgroups, name: str, pid: int) -> str | None:
    try:
        groups.create(name)
        groups.attach(name, pid)
    except OSError as error:
        return str(error)
    return None


def _remove_all(groups: Cgroups) -> None:
    end = time.monotonic() + _LAST_SECONDS
    while names := [name for name in groups.names() if not groups.remove(name)]:
        if time.monotonic() > end:
            print(f"fp_runner: cgroups left over: {', '.join(sorted(names))}", flush=True)
            break
        time.sleep(_RETRY_SECONDS)
    groups.remove_folders()
