"""What one app may ask of MongoDB beyond its connections: MongoDB has limits for all sessions, not by user."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Final

# New sessions in a window. Drivers use a session again once it is free: an app needs as many as it has operations at
# once, or, where it makes a client for each request, one a request.
MAX_SESSIONS: Final = 5_000
# Collections and indexes in a window: MongoDB makes everybody's writes wait while it makes their files.
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
    """Counted for one app, over all its connections."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._sessions: set[bytes] = set()
        # Sessions that it ended: MongoDB keeps a list of these, too.
        self._ended = 0
        self._begun = now()
        self._files = 0
        self._files_begun = now()
        # Why its commands were refused, and how often, since the platform was last told.
        self.refusals: Counter[str] = Counter()

    @property
    def is_over(self) -> bool:
        """Whether the window has ended: one that begins anew allows no more than this one would."""
        return self._now() - self._begun >= WINDOW_SECONDS

    def session(self, lsid: bytes) -> str | None:
        """A command is of this session. Returns why it is refused, if it is."""
        if lsid in self._sessions:
            return None
        refusal = self._count(0)
        if refusal is None:
            self._sessions.add(lsid)
        return refusal

    def end_sessions(self, count: int) -> str | None:
        """A command ends so many sessions."""
        return self._count(count)

    def make_files(self, count: int) -> str | None:
        """A command makes about so many collections and indexes."""
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
