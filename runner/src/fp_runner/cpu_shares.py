"""Shares of the CPU: every user has the same share, however many of their apps and processes are busy.

With a group per user that contains the groups of their apps, the kernel could do this alone. But the user is only known
when an app starts, and moving a process into another group then takes up to 15 ms (see cgroups.py). So the groups of
all apps are siblings, and a user's weight is divided among their apps whenever an app starts or ends.
"""

from typing import Final

from fp_runner.cgroups import Cgroups

# In units of cgroup version 2, where 100 is the default. Divided among a thousand apps, it is still at least 1.
_USER_WEIGHT: Final = 1_000


class CpuShares:
    """Keeps the weights of all apps' groups up to date."""

    def __init__(self, groups: Cgroups) -> None:
        self._groups = groups
        self._names: dict[str, set[str]] = {}
        self._users: dict[str, str] = {}

    def add(self, user: str, name: str) -> None:
        """Called when an app of `user` starts in the group `name`. Raises OSError."""
        self._users[name] = user
        self._names.setdefault(user, set()).add(name)
        self._divide(user)

    def remove(self, name: str) -> None:
        """Called when the app has ended. Idempotent."""
        user = self._users.pop(name, None)
        if user is None:
            return
        self._names[user].discard(name)
        if self._names[user]:
            self._divide(user)
        else:
            del self._names[user]

    def _divide(self, user: str) -> None:
        names = self._names[user]
        for name in names:
            self._groups.set_cpu_weight(name, max(1, _USER_WEIGHT // len(names)))
