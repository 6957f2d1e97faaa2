"""Cgroups, version 1 and 2: each app has a group that limits its memory, its processes and its share of the CPU.

fp-<pid>-<start time>/            the groups of one manager; the name shows a later manager which groups are stale
    apps/<name>/                  one app
    platform/  mongodb/           the platform's own processes, separate from the apps
"""

# Longer than 300 lines: versions 1 and 2 side by side, each with its own files.

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from fp_runner.limits import Limits

_PREFIX: Final = "fp-"
# The names of managers' groups, as distinct from groups that an admin has named fp-….
_NAME: Final = re.compile(rf"{_PREFIX}(\d+)-(\d+)")
_CONTROLLERS: Final = ("memory", "pids", "cpu")
_APPS: Final = "apps"
# The weight of all apps together against the other groups, in units of version 2 (100 is the default).
_WEIGHTS: Final = {_APPS: 100, "platform": 400, "mongodb": 200}
# The part of the machine's memory that all apps together may use. Above it the kernel kills an app, not the database.
_APPS_MEMORY: Final = 0.85
# The same for MongoDB. The platform watches the memory of users' queries, but may react too late. Without this limit
# the kernel could then kill other processes of the machine.
_MONGODB_MEMORY: Final = 0.5
_SHARES_PER_WEIGHT: Final = 1024 / 100
_SMALLEST_SHARES: Final = 2
# In microseconds. A quota is the CPU time that a group may use within one period. These are the kernel's default period
# and its smallest quota.
_CPU_PERIOD: Final = 100_000
_SMALLEST_QUOTA: Final = 1_000


@dataclass(frozen=True)
class _Mount:
    point: str
    root: str
    controllers: frozenset[str]
    version: int


@dataclass
class Cgroups:
    """The groups of one manager. `folders`: for each available controller, the folder with the apps' groups."""

    folders: dict[str, str] = field(default_factory=dict)
    version: dict[str, int] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)

    def set_up(self) -> None:
        """Sets the weight and the memory limit of all apps together."""
        if folder := self.folders.get("cpu"):
            _set_weight(folder, _WEIGHTS[_APPS], self.version["cpu"])
        if folder := self.folders.get("memory"):
            self._limit_memory(folder, _APPS_MEMORY)

    def create(self, name: str) -> None:
        """Creates the groups of one app, without limits."""
        for path in self._paths(name):
            os.makedirs(path, exist_ok=True)

    def attach(self, name: str, pid: int) -> None:
        """Moves a process into an app's groups. On version 1 it waits 6 to 15 ms for the kernel's grace period."""
        for path in self._paths(name):
            _write(f"{path}/cgroup.procs", str(pid))

    def limit(self, name: str, limits: Limits) -> None:
        """Sets the limits of a group, once it is known which app uses it."""
        # One more than the app may have: pid 1 of the namespace counts too.
        if folder := self.folders.get("pids"):
            _write(f"{folder}/{name}/pids.max", str(limits.pids + 1))
        if (folder := self.folders.get("cpu")) and limits.cpus is not None:
            _set_cpus(f"{folder}/{name}", limits.cpus, self.version["cpu"])
        folder = self.folders.get("memory")
        if folder is None:
            return
        memory = str(limits.memory_bytes)
        if self.version["memory"] == 2:
            _write(f"{folder}/{name}/memory.max", memory)
            _write_if_there(f"{folder}/{name}/memory.swap.max", "0")
            # If one process of an app is killed, the rest is useless, so the kernel kills all of the group.
            _write_if_there(f"{folder}/{name}/memory.oom.group", "1")
        else:
            _write(f"{folder}/{name}/memory.limit_in_bytes", memory)
            _write_if_there(f"{folder}/{name}/memory.memsw.limit_in_bytes", memory)

    def set_cpu_weight(self, name: str, weight: int) -> None:
        """Sets the app's weight against the other apps, in units of version 2."""
        if folder := self.folders.get("cpu"):
            _set_weight(f"{folder}/{name}", weight, self.version["cpu"])

    def place(self, name: str, pid: int) -> None:
        """Moves a process of the platform into its group; `name` is a key of _WEIGHTS."""
        if folder := self.folders.get("cpu"):
            path = f"{os.path.dirname(folder)}/{name}"
            os.makedirs(path, exist_ok=True)
            _set_weight(path, _WEIGHTS[name], self.version["cpu"])
            _write(f"{path}/cgroup.procs", str(pid))
        if (folder := self.folders.get("memory")) and name == "mongodb":
            path = f"{os.path.dirname(folder)}/{name}"
            os.makedirs(path, exist_ok=True)
            self._limit_memory(path, _MONGODB_MEMORY)
            _write(f"{path}/cgroup.procs", str(pid))

    def _limit_memory(self, path: str, part: float) -> None:
        """Limits a group to a part of the machine's memory."""
        name = "memory.max" if self.version["memory"] == 2 else "memory.limit_in_bytes"
        _write_if_there(f"{path}/{name}", str(int(_machine_memory() * part)))

    def apps_memory(self) -> dict[str, str | int | list[str]] | None:
        """Where to read the memory that all apps use, and how much they may use: "memory" of the hello message.

        The sum of the lines `fields` of the file is what the kernel cannot take back: heaps, stacks, files in memory.
        """
        folder = self.folders.get("memory")
        if folder is None:
            return None
        fields = ["anon", "shmem"] if self.version["memory"] == 2 else ["total_rss", "total_shmem"]
        return {"file": f"{folder}/memory.stat", "fields": fields, "limit": int(_machine_memory() * _APPS_MEMORY)}

    def oom_kills(self, name: str) -> int:
        """How many processes of the group the kernel has killed because memory ran out."""
        folder = self.folders.get("memory")
        if folder is None:
            return 0
        return read_oom_kills(f"{folder}/{name}", self.version["memory"])

    def remove(self, name: str) -> bool:
        """Removes an app's groups. Returns False while a group still contains processes."""
        removed = [_remove_group(path) for path in self._paths(name)]
        return all(removed)

    def names(self) -> set[str]:
        """The names of the existing groups."""
        found: set[str] = set()
        for folder in self.folders.values():
            found |= set(_subfolders(folder))
        return found

    def remove_folders(self) -> None:
        """Called at the manager's end. Moves processes of the platform back to the group that they came from."""
        for folder in set(self.folders.values()):
            own = os.path.dirname(folder)
            for name in _WEIGHTS:
                _empty_group(f"{own}/{name}", os.path.dirname(own))
                _remove_group(f"{own}/{name}")
            _remove_group(own)

    def _paths(self, name: str) -> Iterator[str]:
        # Version 2 has one folder for all controllers.
        return iter(dict.fromkeys(f"{folder}/{name}" for folder in self.folders.values()))


def detect(pid: int) -> Cgroups:
    """Finds where groups can be created for the manager `pid` by creating its folders. Removes those of dead
    managers."""
    groups = Cgroups()
    own = _own_groups()
    mounts = list(_mounts())
    for controller in _CONTROLLERS:
        groups.why[controller] = "no cgroup hierarchy with this controller is mounted"
        places = (
            (base, mount.version)
            for mount in mounts
            if controller in mount.controllers
            for base in _bases(mount, own.get(controller if mount.version == 1 else "", "/"))
        )
        for base, version in places:
            try:
                groups.folders[controller] = _make_folder(base, pid, version)
            except OSError as error:
                groups.why[controller] = f"{base}: {error.strerror}"
                continue
            groups.version[controller] = version
            break
    groups.set_up()
    return groups


def own_oom_kills() -> int:
    """How many processes the kernel has killed because memory ran out, in this process's own group (a container's)."""
    own = _own_groups()
    for mount in _mounts():
        if "memory" in mount.controllers or mount.version == 2:
            for folder in _bases(mount, own.get("memory" if mount.version == 1 else "", "/"))[:1]:
                # In a container, its own group is at the top of the mount, even if /proc shows another path.
                return max(read_oom_kills(path, mount.version) for path in (folder, mount.point))
    return 0


def read_oom_kills(folder: str, version: int) -> int:
    """Reads the number of such kills from the folder of a group."""
    try:
        with open(f"{folder}/{'memory.events' if version == 2 else 'memory.oom_control'}", encoding="ascii") as lines:
            pairs = dict(line.split() for line in lines)
    except OSError:
        return 0
    return int(pairs.get("oom_kill", "0"))


def _make_folder(base: str, pid: int, version: int) -> str:
    for stale in _subfolders(base):
        if _NAME.fullmatch(stale) and not _is_alive(stale):
            _remove_tree(f"{base}/{stale}")
    own = f"{base}/{_PREFIX}{pid}-{_start_time(pid)}"
    apps = f"{own}/{_APPS}"
    if version == 2:
        wanted = " ".join(f"+{name}" for name in _CONTROLLERS)
        for folder in (base, own, apps):
            os.makedirs(folder, exist_ok=True)
            _write(f"{folder}/cgroup.subtree_control", wanted)
    else:
        os.makedirs(apps, exist_ok=True)
    return apps


def _bases(mount: _Mount, own: str) -> list[str]:
    """Folders in which the manager's folder may be created, in order of preference.

    The first is the manager's own group, so that its limits hold for the apps as well. In version 2 a group with
    processes cannot have controlled subgroups; then the parent is used, or the top of the mount.
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
    """Maps each controller (version 2: the empty name) to the group of this process."""
    groups: dict[str, str] = {}
    with open("/proc/self/cgroup", encoding="utf-8") as lines:
        for line in lines:
            _, names, path = line.rstrip("\n").split(":", 2)
            groups |= dict.fromkeys(names.split(","), path)
    return groups


def _start_time(pid: int) -> str:
    """The start time distinguishes a process from a later one with the same pid."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
        return stat.read().rpartition(")")[2].split()[19]


def _is_alive(folder: str) -> bool:
    pid, _, started = folder.removeprefix(_PREFIX).partition("-")
    try:
        return _start_time(int(pid)) == started
    except OSError:
        return False


def _subfolders(path: str) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(path) if entry.is_dir()]
    except OSError:
        return []


def _set_weight(path: str, weight: int, version: int) -> None:
    if version == 2:
        _write(f"{path}/cpu.weight", str(weight))
    else:
        _write(f"{path}/cpu.shares", str(max(_SMALLEST_SHARES, int(weight * _SHARES_PER_WEIGHT))))


def _set_cpus(path: str, cpus: float, version: int) -> None:
    quota = max(_SMALLEST_QUOTA, int(cpus * _CPU_PERIOD))
    if version == 2:
        _write(f"{path}/cpu.max", f"{quota} {_CPU_PERIOD}")
    else:
        _write(f"{path}/cpu.cfs_period_us", str(_CPU_PERIOD))
        _write(f"{path}/cpu.cfs_quota_us", str(quota))


def _machine_memory() -> int:
    """The machine's memory in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _empty_group(path: str, target: str) -> None:
    try:
        with open(f"{path}/cgroup.procs", encoding="ascii") as pids:
            for pid in pids.read().split():
                _write_if_there(f"{target}/cgroup.procs", pid)
    except OSError:
        return


def _remove_tree(path: str) -> None:
    for name in _subfolders(path):
        _remove_tree(f"{path}/{name}")
    _remove_group(path)


def _remove_group(path: str) -> bool:
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _write_if_there(path: str, text: str) -> None:
    try:
        _write(path, text)
    except OSError:
        return
