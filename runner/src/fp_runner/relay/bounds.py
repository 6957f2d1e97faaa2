"""Limits what one app may ask of MongoDB, apart from its connections. MongoDB's own limits hold for all users
together."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Final

# The most new sessions in one window. Drivers reuse a session once it is free, so an app needs as many sessions as it
# has concurrent operations, or one per request if it creates a client for each request.
MAX_SESSIONS: Final = 5_000
# The most new collections and indexes in one window. While MongoDB creates their files, the writes of all apps wait.
MAX_FILES: Final = 300
WINDOW_SECONDS: Final = 60

_TOO_MANY_SESSIONS: Final = (
    f"This app has begun {MAX_SESSIONS:,} database sessions within {WINDOW_SECONDS} s, which is the most it may. "
    "Make one MongoClient for the whole app, and end the sessions that you start."
)
_TOO_MANY_FILES: Final = (
    f"This app has made some {MAX_FILES} collections and indexes within {WINDOW_SECONDS} s, which is the most it may. "
    "Make them once, and go on later."
)


class Bounds:
    """The counts of one app, over all its connections."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._sessions: set[bytes] = set()
        # Sessions that the app has ended. MongoDB keeps a list of these, too.
        self._ended = 0
        self._begun = now()
        self._files = 0
        self._files_begun = now()
        # How often commands were refused for each reason, since the last report to the platform.
        self.refusals: Counter[str] = Counter()

    @property
    def is_over(self) -> bool:
        """Whether the window has ended. A new window would then allow no more than this one."""
        return self._now() - self._begun >= WINDOW_SECONDS

    def session(self, lsid: bytes) -> str | None:
        """Counts the session of a command. Returns the reason if the command is refused."""
        if lsid in self._sessions:
            return None
        refusal = self._count(0)
        if refusal is None:
            self._sessions.add(lsid)
        return refusal

    def end_sessions(self, count: int) -> str | None:
        """Counts a command that ends about `count` sessions. Returns the reason if the command is refused."""
        return self._count(count)

    def make_files(self, count: int) -> str | None:
        """Counts a command that creates about `count` collections and indexes. Returns the reason if the command is
        refused."""
        if self._files + count > MAX_FILES:
            now = self._now()
            if now - self._files_begun < WINDOW_SECONDS:
                return _TOO_MANY_FILES
            self._files_begun = now
            self._files = 0
        self._files += count
        return None

    def _count(self, ended: int) -> str | None:
        if len(self._sessions) + self._ended + ended >= MAX_SESSIONS:
            if not self.is_over or ended >= MAX_SESSIONS:
                return _TOO_MANY_SESSIONS
            self._begun = self._now()
            self._sessions.clear()
            self._ended = 0
        self._ended += ended
        return None
