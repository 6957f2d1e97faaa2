"""A helper process that puts others into cgroups and gives them networks: that blocks for up to 15 ms.

It outlives a killed manager for a moment and removes the groups and networks that are left.
"""

import os
import select
import socket
import time
import traceback
from typing import Final, NoReturn

from fp_runner import channel
from fp_runner.cgroups import Cgroups
from fp_runner.network.helper import Networks
from fp_runner.network.report import NetworkReport
from fp_runner.network.settings import Settings
from fp_runner.protocol import Message

_RETRY_SECONDS: Final = 0.02
_LAST_SECONDS: Final = 5.0
_SO_SNDBUFFORCE: Final = 32


class Usher:
    """The manager's side. Answers come to `channel` as {"name", "error"}, with a network namespace's descriptor."""

    def __init__(self, groups: Cgroups, settings: Settings | None) -> None:
        """`settings` is None where apps get no network from the helper."""
        self.groups = groups
        self.channel, theirs = channel.pair()
        self.pid = os.fork()
        if self.pid == 0:
            self.channel.close()
            try:
                _Helper(groups, theirs).serve(settings)
            except Exception:
                traceback.print_exc()
            finally:
                os._exit(1)
        theirs.close()
        try:
            # Room for thousands of requests, so that a burst of starts never finds the line full.
            self.channel.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, 8 * 1024 * 1024)
        except OSError:
            pass
        self.network = self._first_report()

    def attach(self, name: str, pid: int) -> None:
        """Asks for the groups `name` to be made, `pid` to be moved into them, and a network for it."""
        channel.send(self.channel, {"op": "attach", "name": name, "pid": pid})

    def remove(self, name: str) -> None:
        """Asks for the groups `name` to be removed, once they are empty, and its network."""
        channel.send(self.channel, {"op": "remove", "name": name})

    def place(self, name: str, pid: int) -> None:
        """Asks for a process of the platform's own to be moved into the group `name`. Not answered."""
        channel.send(self.channel, {"op": "place", "name": name, "pid": pid})

    def close(self) -> None:
        """Ends the helper, after it has removed everything."""
        self.channel.close()
        os.waitpid(self.pid, 0)

    def _first_report(self) -> NetworkReport:
        select.select([self.channel], [], [])
        received = channel.receive(self.channel)
        if received is None:
            return NetworkReport("the helper process ended while it set up the network", ())
        return NetworkReport(received.message["why"], tuple(received.message["notes"]))


class _Helper:
    """The process itself."""

    def __init__(self, groups: Cgroups, control: socket.socket) -> None:
        self._groups = groups
        self._control = control
        self._networks: Networks | None = None

    def serve(self, settings: Settings | None) -> NoReturn:
        """Until the manager is gone."""
        why = None
        if settings:
            try:
                self._networks = Networks(settings)
            except (OSError, ValueError) as error:
                why = str(error)
        self._answer({"why": why, "notes": self._networks.notes if self._networks else []})
        leaving: list[str] = []
        busy = self._networks is not None
        while True:
            leaving = [name for name in leaving if not self._groups.remove(name)]
            seconds = 0 if busy else _RETRY_SECONDS if leaving else None
            readable = select.select(self._sources(), [], [], seconds)[0]
            if self._control in readable:
                received = channel.receive(self._control)
                if received is None:
                    self._end()
                name = received.message["name"]
                if received.message["op"] == "remove":
                    leaving.append(name)
                    if self._networks:
                        self._networks.remove(name)
                elif received.message["op"] == "place":
                    self._place(name, received.message["pid"])
                else:
                    self._attach(name, received.message["pid"])
                busy = self._networks is not None
            elif readable and self._networks:
                self._networks.on_resolver()
            elif busy and self._networks:
                # Only when nobody waits.
                busy = self._networks.prepare()

    def _sources(self) -> list[socket.socket]:
        return [self._control, self._networks.resolver] if self._networks else [self._control]

    def _place(self, name: str, pid: int) -> None:
        try:
            self._groups.place(name, pid)
        except OSError as error:
            print(f"fp_runner: {name} has no group of its own: {error}", flush=True)

    def _attach(self, name: str, pid: int) -> None:
        namespace: int | None = None
        try:
            if self._groups.folders:
                self._groups.create(name)
                self._groups.attach(name, pid)
            if self._networks:
                namespace = self._networks.take(name)
        except OSError as error:
            self._answer({"name": name, "error": str(error)})
        else:
            self._answer({"name": name, "error": None}, () if namespace is None else (namespace,))
        finally:
            if namespace is not None:
                os.close(namespace)

    def _answer(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        try:
            channel.send(self._control, message, fds)
        except OSError:
            # The manager was killed meanwhile; the next receive says so, and then there is cleaning to do.
            return

    def _end(self) -> NoReturn:
        _remove_all(self._groups)
        if self._networks:
            self._networks.close()
        os._exit(0)


def _remove_all(groups: Cgroups) -> None:
    end = time.monotonic() + _LAST_SECONDS
    while names := [name for name in groups.names() if not groups.remove(name)]:
        if time.monotonic() > end:
            print(f"fp_runner: cgroups left over: {', '.join(sorted(names))}", flush=True)
            break
        time.sleep(_RETRY_SECONDS)
    groups.remove_folders()
