"""An event loop for file descriptors and timers in one thread. It is not asyncio, because this process forks."""

import heapq
import itertools
import selectors
import time
import traceback
from collections.abc import Callable

Callback = Callable[[], None]


class Timer:
    """A scheduled call. `cancel` is idempotent."""

    def __init__(self, callback: Callback) -> None:
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        """Cancels the call."""
        self.callback = None


class Reactor:
    """Calls back when a file descriptor is readable (or writable) and when a timer is due."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()

    def watch(self, fd: int, on_read: Callback, on_write: Callback | None = None) -> None:
        """Calls `on_read` whenever `fd` is readable, and `on_write` (if given) whenever it is writable."""
        self.unwatch(fd)
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if on_write else 0)
        self._selector.register(fd, events, (on_read, on_write))

    def unwatch(self, fd: int) -> None:
        """Must be called before `fd` is closed. Idempotent."""
        try:
            self._selector.unregister(fd)
        except KeyError:
            return

    def call_later(self, seconds: float, callback: Callback) -> Timer:
        """Calls `callback` once, after `seconds`."""
        timer = Timer(callback)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), timer))
        return timer

    def run_once(self) -> None:
        """Waits for the next event and runs all callbacks that are due."""
        for key, events in self._selector.select(self._timeout()):
            on_read, on_write = key.data
            # An earlier callback of this round may have unregistered this descriptor.
            if self._selector.get_map().get(key.fd) is not key:
                continue
            if events & selectors.EVENT_WRITE and on_write:
                _guarded(on_write)
            if events & selectors.EVENT_READ:
                _guarded(on_read)
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            callback = heapq.heappop(self._timers)[2].callback
            if callback:
                _guarded(callback)

    def _timeout(self) -> float | None:
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None


def _guarded(callback: Callback) -> None:
    try:
        callback()
    except Exception:
        # A bug that one app triggers must not end the process, and with it all other apps.
        traceback.print_exc()
