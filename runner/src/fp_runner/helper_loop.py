"""The helper process: moves processes into cgroups and gives them networks, which blocks for up to 15 ms.

If the manager is killed, the helper process still removes the remaining groups and networks before it ends.
"""

import os
import socket
import time
from typing import Final, NoReturn

from fp_runner import channel
from fp_runner.cgroups import Cgroups
from fp_runner.network.app_networks import AppNetworks
from fp_runner.network.settings import Settings
from fp_runner.protocol import Message
from fp_runner.reactor import Reactor, Timer

# Networks are created ahead only after this long without a request.
_QUIET_SECONDS: Final = 0.005
# The pause before a group that still contains processes is removed again. Doubled after each attempt.
_RETRY_SECONDS: Final = 0.02
_LONGEST_RETRY_SECONDS: Final = 5.0
# How long the removal may take at the end.
_LAST_SECONDS: Final = 5.0


class HelperLoop:
    """The main loop of the process. HelperProcess is the manager's side."""

    def __init__(self, groups: Cgroups, control: socket.socket) -> None:
        self._groups = groups
        self._control = control
        self._reactor = Reactor()
        self._networks: AppNetworks | None = None
        self._preparation: Timer | None = None

    def serve(self, settings: Settings | None) -> NoReturn:
        """Runs until the manager has closed the channel."""
        why = None
        if settings:
            try:
                self._networks = AppNetworks(settings, self._reactor)
            except (OSError, ValueError) as error:
                why = str(error)
        self._answer({"why": why, "notes": self._networks.notes if self._networks else []})
        self._reactor.watch(self._control.fileno(), self._read)
        self._prepare_later(0)
        while True:
            self._reactor.run_once()

    def _read(self) -> None:
        received = channel.receive(self._control)
        if received is None:
            self._end()
        name = received.message["name"]
        if received.message["op"] == "remove":
            self._remove_groups(name, _RETRY_SECONDS)
            if self._networks:
                self._networks.remove(name)
        elif received.message["op"] == "place":
            self._place(name, received.message["pid"])
        else:
            self._attach(name, received.message["pid"])
        self._prepare_later(_QUIET_SECONDS)

    def _prepare_later(self, seconds: float) -> None:
        if self._preparation:
            self._preparation.cancel()
        self._preparation = self._reactor.call_later(seconds, self._prepare)

    def _prepare(self) -> None:
        if self._networks and self._networks.prepare():
            self._prepare_later(0)

    def _remove_groups(self, name: str, pause: float) -> None:
        if not self._groups.remove(name):
            longer = min(2 * pause, _LONGEST_RETRY_SECONDS)
            self._reactor.call_later(pause, lambda: self._remove_groups(name, longer))

    def _place(self, name: str, pid: int) -> None:
        try:
            self._groups.place(name, pid)
        except OSError as error:
            print(f"fp_runner: {name} was not moved into its own control group: {error}", flush=True)

    def _attach(self, name: str, pid: int) -> None:
        namespace: int | None = None
        try:
            if self._groups.folders:
                self._groups.create(name)
                self._groups.attach(name, pid)
            if self._networks:
                namespace = self._networks.take(name)
        except Exception as error:
            # The manager waits for an answer, whatever the exception was.
            self._answer({"name": name, "error": str(error) or repr(error)})
        else:
            self._answer({"name": name, "error": None}, () if namespace is None else (namespace,))
        finally:
            if namespace is not None:
                os.close(namespace)

    def _answer(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        try:
            channel.send(self._control, message, fds)
        except OSError:
            # The manager was killed. The next receive notices that, and then this process cleans up.
            return

    def _end(self) -> NoReturn:
        try:
            _remove_all(self._groups)
            if self._networks:
                self._networks.close()
        except Exception as error:
            print(f"fp_runner: groups or networks are left over: {error}", flush=True)
            os._exit(1)
        os._exit(0)


def _remove_all(groups: Cgroups) -> None:
    end = time.monotonic() + _LAST_SECONDS
    while names := [name for name in groups.names() if not groups.remove(name)]:
        if time.monotonic() > end:
            print(f"fp_runner: cgroups left over: {', '.join(sorted(names))}", flush=True)
            break
        time.sleep(_RETRY_SECONDS)
    groups.remove_folders()
