"""Cgroups, version 1 and 2: one group an app for memory and one for processes.

All groups of a zygote lie in one folder `fp-<pid>-<start time>`, so that a later zygote knows which are stale.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from fp_runner.limits import Limits

_PREFIX: Final = "fp-"
_CONTROLLERS: Final = ("memory", "pids")


@dataclass(frozen=True)
class _Mount:
    point: str
    root: str
    controllers: frozenset[str]
    version: int


@dataclass
class Cgroups:
    """The groups of one zygote. `folders` holds the zygote's folder for each controller that works."""

    folders: dict[str, str] = field(default_factory=dict)
    version: dict[str, int] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)

    def create(self, name: str) -> None:
        """Makes the groups of one app, without limits."""
        for path in self._paths(name):
            os.makedirs(path, exist_ok=True)

    def attach(self, name: str, pid: int) -> None:
        """Moves a process. Slow on version 1 (it waits for the kernel's grace period: 6 to 15 ms)."""
        for path in self._paths(name):
            _write(f"{path}/cgroup.procs", str(pid))

    def limit(self, name: str, limits: Limits) -> None:
        """Sets the limits, at the moment when the group's app is known."""
        # One more: the namespace's own pid 1.
        if folder := self.folders.get("pids"):
            _write(f"{folder}/{name}/pids.max", str(limits.pids + 1))
        folder = self.folders.get("memory")
        if folder is None:
            return
        memory = str(limits.memory_bytes)
        if self.version["memory"] == 2:
            _write(f"{folder}/{name}/memory.max", memory)
            _write_if_there(f"{folder}/{name}/memory.swap.max", "0")
            # One process of an app killed leaves half an app: end it whole.
            _write_if_there(f"{folder}/{name}/memory.oom.group", "1")
        else:
            _write(f"{folder}/{name}/memory.limit_in_bytes", memory)
            _write_if_there(f"{folder}/{name}/memory.memsw.limit_in_bytes", memory)

    def oom_kills(self, name: str) -> int:
        """How many processes of the group the kernel killed for want of memory."""
        folder = self.folders.get("memory")
        if folder is None:
            return 0
        return read_oom_kills(f"{folder}/{name}", self.version["memory"])

    def remove(self, name: str) -> bool:
        """Removes an app's groups. False while the kernel still holds processes in them."""
        removed = [_remove_group(path) for path in self._paths(name)]
        return all(removed)

    def names(self) -> set[str]:
        """The groups that exist."""
        found: set[str] = set()
        for folder in self.folders.values():
            found |= set(_subfolders(folder))
        return found

    def remove_folders(self) -> None:
        """At the zygote's end."""
        for folder in set(self.folders.values()):
            _remove_group(folder)

    def _paths(self, name: str) -> Iterator[str]:
        # Version 2 has one folder for both controllers.
        return iter(dict.fromkeys(f"{folder}/{name}" for folder in self.folders.values()))


def detect(pid: int) -> Cgroups:
    """Finds where groups can be made for the zygote `pid`, by making its folders. Cleans up after dead zygotes."""
    groups = Cgroups()
    own = _own_groups()
    mounts = list(_mounts())
    for controller in _CONTROLLERS:
        groups.why[controller] = "no cgroup hierarchy with this controller is mounted"
        for mount in mounts:
            if controller not in mount.controllers:
                continue
            for base in _bases(mount, own.get(controller if mount.version == 1 else "", "/")):
                try:
                    folder = _make_folder(base, pid, mount.version)
                except OSError as error:
                    groups.why[controller] = f"{base}: {error.strerror}"
                    continue
                groups.folders[controller], groups.version[controller] = folder, mount.version
                break
    return groups


def own_oom_kills() -> int:
    """How many processes the kernel killed, for want of memory, in the group that this process is in: a container's."""
    own = _own_groups()
    for mount in _mounts():
        if "memory" in mount.controllers or mount.version == 2:
            for folder in _bases(mount, own.get("memory" if mount.version == 1 else "", "/"))[:1]:
                # Within a container its own group is the mount's top, whatever /proc calls it.
                return max(read_oom_kills(path, mount.version) for path in (folder, mount.point))
    return 0


def read_oom_kills(folder: str, version: int) -> int:
    """The same, of the group that this folder is."""
    try:
        with open(f"{folder}/{'memory.events' if version == 2 else 'memory.oom_control'}", encoding="ascii") as lines:
            pairs = dict(line.split() for line in lines)
    except OSError:
        return 0
    return int(pairs.get("oom_kill", "0"))


def _make_folder(base: str, pid: int, version: int) -> str:
    for stale in _subfolders(base):
        if stale.startswith(_PREFIX) and not _is_alive(stale):
            for name in _subfolders(f"{base}/{stale}"):
                _remove_group(f"{base}/{stale}/{name}")
            _remove_group(f"{base}/{stale}")
    folder = f"{base}/{_PREFIX}{pid}-{_start_time(pid)}"
    if version == 2:
        wanted = " ".join(f"+{name}" for name in _CONTROLLERS)
        _write(f"{base}/cgroup.subtree_control", wanted)
        os.makedirs(folder, exist_ok=True)
        _write(f"{folder}/cgroup.subtree_control", wanted)
    else:
        os.makedirs(folder, exist_ok=True)
    return folder


def _bases(mount: _Mount, own: str) -> list[str]:
    """Where a zygote's folder may go: within its own group, so that the limits on it hold for the apps as well.

    Version 2 allows no group that has both processes and controlled subgroups: there the parent, then the top.
    """
    relative = own.removeprefix(mount.root).strip("/") if own.startswith(mount.root) else ""
    path = f"{mount.point}/{relative}".rstrip("/")
    if mount.version == 1:
        return [path] if os.path.isdir(path) else [mount.point]
    return list(dict.fromkeys((path, os.path.dirname(path) if relative else path, mount.point)))


def _mounts() -> Iterator[_Mount]:
    with open("/proc/self/mountinfo", encoding="utf-8") as lines:
        for line in lines:
            left, _, right = line.partition(" - ")
            root, point = left.split()[3:5]
            kind, _, options = right.split()[:3]
            if kind == "cgroup":
                yield _Mount(point, root, frozenset(options.split(",")), 1)
            elif kind == "cgroup2":
                with open(f"{point}/cgroup.controllers", encoding="ascii") as names:
                    yield _Mount(point, root, frozenset(names.read().split()), 2)


def _own_groups() -> dict[str, str]:
    """Controller (version 2: the empty name) → the group that this process is in."""
    groups: dict[str, str] = {}
    with open("/proc/self/cgroup", encoding="utf-8") as lines:
        for line in lines:
            _, names, path = line.rstrip("\n").split(":", 2)
            groups |= dict.fromkeys(names.split(","), path)
    return groups


def _start_time(pid: int) -> str:
    """Tells a process from a later one with the same pid."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
        return stat.read().rpartition(")")[2].split()[19]


def _is_alive(folder: str) -> bool:
    pid, _, started = folder.removeprefix(_PREFIX).partition("-")
    try:
        return pid.isdigit() and _start_time(int(pid)) == started
    except OSError:
        return False


def _subfolders(path: str) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(path) if entry.is_dir()]
    except OSError:
        return []


def _remove_group(path: str) -> bool:
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _write_if_there(path: str, text: str) -> None:
    try:
        _write(path, text)
    except OSError:
        return
