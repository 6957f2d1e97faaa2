"""The helper process's side of the resolver (resolver.py): starts it, replaces it and sends it the list of apps.

The resolver parses untrusted data. So nothing that it sends is trusted, and nothing that it sends may end the helper.
"""

import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Final

from fp_runner import channel
from fp_runner.descriptors import close_all_but
from fp_runner.network import resolver
from fp_runner.network.settings import Settings
from fp_runner.protocol import Message
from fp_runner.reactor import Reactor

# How long to wait before the next start, after a resolver that lived for less than _SETTLED_SECONDS. Doubled each time.
_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 10.0
_SETTLED_SECONDS: Final = 10.0
# How many messages may wait, in addition to one per app.
_MAX_UNSENT: Final = 1000

Sockets = tuple[socket.socket, ...]


class ResolverProcess:
    """Keeps a resolver running: starts another one when it ends."""

    def __init__(self, settings: Settings, reactor: Reactor, allow: Callable[[str, list[IPv4Address]], None]) -> None:
        """`allow` lets apps reach a name's addresses, or raises OSError. Raises OSError if no resolver can be
        started."""
        self._settings, self._reactor, self._allow = settings, reactor, allow
        # Kept here too, so that the sockets survive the end of a resolver.
        self._apps: dict[str, Sockets] = {}
        self._unsent: deque[tuple[Message, Sockets]] = deque()
        self._channel: socket.socket | None = None
        self._pause = 0.0
        self._last_error = ""
        self._start()

    def add(self, name: str, sockets: Sockets) -> None:
        """Has the resolver answer the questions on an app's sockets, which still belong to the caller."""
        self._apps[name] = sockets
        self._tell({"op": "add", "name": name}, sockets)

    def remove(self, name: str) -> None:
        """Called before the caller closes the app's sockets."""
        del self._apps[name]
        self._unsent = deque(entry for entry in self._unsent if entry[0].get("name") != name)
        self._tell({"op": "remove", "name": name})

    def close(self) -> None:
        """Ends the process and waits until it is gone."""
        if self._channel:
            self._end(self._channel)

    def _start(self) -> None:
        ours, theirs = channel.pair()
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            raise
        if pid == 0:
            try:
                # Otherwise it would keep other apps' networks alive, and this process's claims and channels open.
                close_all_but({theirs.fileno()})
                resolver.serve(theirs, self._settings)
            finally:
                os._exit(1)
        theirs.close()
        self._channel, self.pid, self._started = ours, pid, time.monotonic()
        self._reactor.watch(ours.fileno(), self._read)
        for name, sockets in self._apps.items():
            self._tell({"op": "add", "name": name}, sockets)

    def _read(self) -> None:
        if self._channel is None:
            return
        try:
            received = channel.receive_report(self._channel)
            if received is None:
                self._replace("it has ended")
                return
            number, name = int(received.message["number"]), str(received.message["host"])
            found = [IPv4Address(text) for text in received.message["addresses"]]
        except BlockingIOError:
            return
        except (OSError, ValueError, TypeError, KeyError) as error:
            self._replace(f"it sent an invalid request: {error!r}")
            return
        self._tell({"op": "allowed", "number": number, "allowed": self._is_allowed(name, found)})

    def _is_allowed(self, name: str, found: list[IPv4Address]) -> bool:
        try:
            self._allow(name, found)
        except OSError as error:
            # An error is printed once, not for each lookup.
            if str(error) != self._last_error:
                print(f"fp_runner: the addresses of {name} could not be added to the firewall: {error}", flush=True)
            self._last_error = str(error)
            return False
        self._last_error = ""
        return True

    def _tell(self, message: Message, sockets: Sockets = ()) -> None:
        if self._channel is None:
            # The next resolver gets the list of all apps when it starts.
            return
        self._unsent.append((message, sockets))
        if len(self._unsent) > len(self._apps) + _MAX_UNSENT:
            self._replace("it does not read")
            return
        self._send()

    def _send(self) -> None:
        """Sends what fits now, and the rest once there is room."""
        assert self._channel is not None
        while self._unsent:
            message, sockets = self._unsent[0]
            try:
                channel.send(self._channel, message, tuple(listening.fileno() for listening in sockets))
            except BlockingIOError:
                self._reactor.watch(self._channel.fileno(), self._read, self._send)
                return
            except OSError as error:
                self._replace(str(error))
                return
            self._unsent.popleft()
        self._reactor.watch(self._channel.fileno(), self._read)

    def _replace(self, why: str) -> None:
        if self._channel is None:
            return
        self._end(self._channel)
        settled = time.monotonic() - self._started > _SETTLED_SECONDS
        self._pause = 0.0 if settled else min(max(2 * self._pause, _PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)
        print(f"fp_runner: the resolver of apps is restarted: {why}", flush=True)
        self._reactor.call_later(self._pause, self._restart)

    def _restart(self) -> None:
        try:
            self._start()
        except OSError as error:
            self._pause = min(max(2 * self._pause, _PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)
            print(f"fp_runner: the resolver of apps does not start: {error}", flush=True)
            self._reactor.call_later(self._pause, self._restart)

    def _end(self, ours: socket.socket) -> None:
        self._reactor.unwatch(ours.fileno())
        ours.close()
        self._channel = None
        self._unsent.clear()
        # A process that has closed its end may still run.
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
