"""Spare processes: forked in advance, sandboxed as far as possible, in their cgroups, and waiting for an app."""

import itertools
import os
from collections.abc import Callable
from typing import Final

from fp_runner import channel
from fp_runner.child import Child
from fp_runner.failure import Failure
from fp_runner.forks import Forks
from fp_runner.helper_process import HelperProcess
from fp_runner.protocol import Message
from fp_runner.reactor import Reactor, Timer

# Long enough for a wake in progress to have the CPU to itself.
_REFILL_SECONDS: Final = 0.03
# The delay after a spare has ended by itself: something is wrong with the machine, and a new fork would not help.
_PAUSE_SECONDS: Final = 5.0


class Pool:
    """Creates children in advance."""

    def __init__(
        self,
        reactor: Reactor,
        forks: Forks,
        helper: HelperProcess | None,
        size: int,
        *,
        warm: bool,
        on_helper_end: Callable[[], None],
    ) -> None:
        """`on_helper_end` is called once, when the helper process has ended and no more children can be attached."""
        self._reactor = reactor
        self._forks = forks
        self._names = itertools.count(1)
        self._helper = helper
        self._on_helper_end = on_helper_end
        self._size = size
        # Whether a spare has preloaded modules that it can warm up.
        self._warm = warm
        self._spares: list[Child] = []
        # By name: children that wait for their cgroups and network, and children that wait for a start request.
        self._attaching: dict[str, Child] = {}
        self._waiting: set[str] = set()
        self._refill: Timer | None = None
        if helper:
            reactor.watch(helper.channel.fileno(), self._read_helper)
        self._refill_later(_REFILL_SECONDS)

    def take(self) -> Child:
        """Returns the spare that is furthest along, or a new child. Raises OSError if no child can be created."""
        self._spares.sort(key=lambda child: child.name not in self._waiting)
        child = self._spares.pop(0) if self._spares else self._spawn()
        self._refill_later(_REFILL_SECONDS)
        return child

    def when_waiting(self, child: Child, then: Callable[[], None]) -> None:
        """Calls `then` once the child is ready for its start request: now, or when it reports that."""
        if child.name in self._waiting:
            self._waiting.discard(child.name)
            then()
            return
        usual = child.on_message

        def on_message(message: Message) -> None:
            if message.get("event") == "waiting":
                self._waiting.discard(child.name)
                child.on_message = usual
                then()
            else:
                usual(message)

        child.on_message = on_message

    def spares(self) -> list[Child]:
        """The children without an app."""
        return list(self._spares)

    def close(self) -> None:
        """Creates no more spares."""
        self._size = 0

    def forget(self, child: Child) -> None:
        """Called after a child's end: releases its cgroups and its network."""
        self._waiting.discard(child.name)
        self._attaching.pop(child.name, None)
        if self._helper:
            self._helper.remove(child.name)

    def _spawn(self) -> Child:
        child = Child(self._reactor, self._forks, f"{next(self._names)}")

        def on_message(message: Message) -> None:
            if message.get("event") == "waiting":
                self._waiting.add(child.name)

        def on_end(_status: int | None) -> None:
            if child in self._spares:
                self._spares.remove(child)
            self.forget(child)
            self._refill_later(_PAUSE_SECONDS)

        child.on_message, child.on_end = on_message, on_end
        child.on_forked = lambda: self._attach(child)
        return child

    def _attach(self, child: Child) -> None:
        if self._helper:
            self._attaching[child.name] = child
            self._helper.attach(child.name, child.pid)
        else:
            self._go(child)

    def _read_helper(self) -> None:
        assert self._helper is not None
        try:
            answer = channel.receive(self._helper.channel)
        except (BlockingIOError, ValueError):
            return
        if answer is None:
            self._reactor.unwatch(self._helper.channel.fileno())
            self._on_helper_end()
            return
        child = self._attaching.pop(answer.message["name"], None)
        if child:
            self._on_attached(child, answer.message["error"], tuple(answer.fds))
        for fd in answer.fds:
            os.close(fd)

    def _on_attached(self, child: Child, error: str | None, network: tuple[int, ...]) -> None:
        if error is None:
            self._go(child, network)
        else:
            # Without its limits the app is not isolated.
            text = f"The sandbox could not be made: {error}"
            child.on_message({"event": "failed", "failure": Failure("FP_SANDBOX_FAILED", text).wire()})
            child.kill(through_app=False)

    def _go(self, child: Child, network: tuple[int, ...] = ()) -> None:
        child.send({"op": "go", "spare": self._warm and child in self._spares}, network)

    def _refill_later(self, seconds: float) -> None:
        if self._refill:
            self._refill.cancel()
        self._refill = self._reactor.call_later(seconds, self._fill)

    def _fill(self) -> None:
        if len(self._spares) >= self._size:
            return
        try:
            self._spares.append(self._spawn())
        except OSError:
            self._refill_later(_PAUSE_SECONDS)
            return
        self._refill_later(_REFILL_SECONDS)
