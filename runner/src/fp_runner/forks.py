"""Creates the processes of apps: forks of one zygote for all apps, or a fresh interpreter for each.

Both are processes of their own that the manager starts with exec. So their memory contains nothing of the manager's,
which holds the start requests of all apps.
"""

import os
import socket
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final, Protocol

from fp_runner import channel
from fp_runner.isolation import Mechanisms
from fp_runner.network.access import NetworkAccess
from fp_runner.reactor import Reactor

_CHANNEL_FD: Final = 3

OnForked = Callable[[int, int], None]
OnFailed = Callable[[str], None]


@dataclass(frozen=True)
class ForkSettings:
    """What every fork must know about the machine. Apps can read it, so it contains nothing about any user."""

    mechanisms: Mechanisms
    network: NetworkAccess
    # The folder with MongoDB's sockets.
    mongodb: str | None


class Forks(Protocol):
    """A source of forks."""

    def fork(self, control_fd: int, status_fd: int, on_forked: OnForked, on_failed: OnFailed) -> Callable[[], None]:
        """Requests a fork that gets the two descriptors. Later calls back once: `on_forked` with its pid and a pidfd,
        which the receiver must close, or `on_failed` with the reason. Returns a function to call when the fork has
        ended. Raises OSError if the machine does not have the resources."""
        ...

    def pids(self) -> list[int]:
        """The processes that create forks."""
        ...

    def close(self) -> None:
        """Ends the processes, and with them all forks that still run."""
        ...


class ZygoteProcess:
    """One process of zygote.py. `on_end` is called once, after it has ended and every pending fork has failed."""

    def __init__(self, reactor: Reactor, settings: ForkSettings, *, preload: bool, on_end: Callable[[], None]) -> None:
        self._reactor = reactor
        self._on_end = on_end
        self._asked: deque[tuple[OnForked, OnFailed]] = deque()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel = ours
        with theirs:
            command = [sys.executable, "-s", "-P", "-m", "fp_runner.zygote"]
            actions = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), _CHANNEL_FD)]
            self.pid = os.posix_spawn(sys.executable, command, os.environ, file_actions=actions)
        channel.send(ours, {"settings": asdict(settings), "preload": preload})
        reactor.watch(ours.fileno(), self._read)

    def fork(self, control_fd: int, status_fd: int, on_forked: OnForked, on_failed: OnFailed) -> None:
        """See Forks.fork."""
        channel.send(self._channel, {}, (control_fd, status_fd))
        self._asked.append((on_forked, on_failed))

    def close(self) -> None:
        """Ends the process and waits until it is gone."""
        if self._channel.fileno() < 0:
            return
        self._reactor.unwatch(self._channel.fileno())
        self._channel.close()
        os.waitpid(self.pid, 0)

    def _read(self) -> None:
        received = channel.receive(self._channel)
        if received is None:
            self.close()
            for _, on_failed in self._asked:
                on_failed("the process that forks apps has ended")
            self._asked.clear()
            self._on_end()
            return
        on_forked, on_failed = self._asked.popleft()
        if received.fds:
            on_forked(received.message["pid"], received.fds[0])
        else:
            on_failed(received.message["error"])


class SharedZygote:
    """One zygote for all apps, which is the default. `on_end` is called when it ends; its forks end with it."""

    def __init__(self, reactor: Reactor, settings: ForkSettings, on_end: Callable[[], None]) -> None:
        self._process = ZygoteProcess(reactor, settings, preload=True, on_end=on_end)

    def fork(self, control_fd: int, status_fd: int, on_forked: OnForked, on_failed: OnFailed) -> Callable[[], None]:
        """See Forks.fork."""
        self._process.fork(control_fd, status_fd, on_forked, on_failed)
        return lambda: None

    def pids(self) -> list[int]:
        """See Forks.pids."""
        return [self._process.pid]

    def close(self) -> None:
        """See Forks.close."""
        self._process.close()


class FreshInterpreters:
    """A zygote for each app, which shares no address layout and no hash seed with other apps. It is slower and larger,
    and preloads nothing, because each process would have to do so for itself."""

    def __init__(self, reactor: Reactor, settings: ForkSettings) -> None:
        self._reactor = reactor
        self._settings = settings
        self._processes: set[ZygoteProcess] = set()

    def fork(self, control_fd: int, status_fd: int, on_forked: OnForked, on_failed: OnFailed) -> Callable[[], None]:
        """See Forks.fork."""
        process = ZygoteProcess(
            self._reactor, self._settings, preload=False, on_end=lambda: self._processes.discard(process)
        )
        self._processes.add(process)

        def end() -> None:
            self._processes.discard(process)
            process.close()

        process.fork(control_fd, status_fd, on_forked, on_failed)
        return end

    def pids(self) -> list[int]:
        """See Forks.pids."""
        return [process.pid for process in self._processes]

    def close(self) -> None:
        """See Forks.close."""
        for process in list(self._processes):
            process.close()
        self._processes.clear()
