"""The limits of an app. The platform sends them with the start request (platform/src/runtime/limits.ts)."""

import resource
from dataclasses import dataclass
from typing import Final

# On a busy machine, the app may have to wait this long for the CPU.
_SOFT_TIMEOUT_HEADSTART: Final = 1.0


@dataclass(frozen=True)
class ProcessLimits:
    """The limits that the runner sets in a pod; the container has the others. In bytes, counts and seconds."""

    file_bytes: int
    open_files: int
    start_seconds: float

    @property
    def kill_seconds(self) -> float:
        """How long after the start an app is killed, if the interrupt at `start_seconds` has not made it report a
        failure."""
        return self.start_seconds + _SOFT_TIMEOUT_HEADSTART


@dataclass(frozen=True)
class Limits(ProcessLimits):
    """All limits of an app on a machine."""

    memory_bytes: int
    # CPU cores. None: no limit.
    cpus: float | None
    pids: int
    tmp_bytes: int


def apply(limits: Limits, *, memory_cgroup: bool, pids_cgroup: bool, own_user: bool = True) -> None:
    """Sets the rlimits of this process and its children, as a second limit in addition to the cgroups.

    If a cgroup counts precisely, the rlimit is wider: RLIMIT_DATA counts the 8 MiB stack of every thread, used or not,
    and RLIMIT_NPROC counts all processes of a uid, which two instances of an app share while one replaces the other.
    """
    data, virtual = _own_sizes()
    memory = limits.memory_bytes
    _set(resource.RLIMIT_DATA, data + (2 * memory if memory_cgroup else memory))
    if not memory_cgroup:
        # RLIMIT_DATA does not count shared mappings. The limit is wide, because runtimes reserve far more than they
        # use.
        _set(resource.RLIMIT_AS, virtual + 4 * memory)
    if own_user:
        _set(resource.RLIMIT_NPROC, limits.pids * 2 if pids_cgroup else limits.pids)
    apply_per_process(limits)


def apply_per_process(limits: ProcessLimits) -> None:
    """Sets the limits that count only this process. A pod needs no others.

    There, the container limits the memory, and RLIMIT_NPROC would also count other pods with the same user.
    """
    _set(resource.RLIMIT_FSIZE, limits.file_bytes)
    _set(resource.RLIMIT_NOFILE, limits.open_files)
    _set(resource.RLIMIT_CORE, 0)
    _set(resource.RLIMIT_MEMLOCK, 64 * 1024)
    for kind, value in ((resource.RLIMIT_MSGQUEUE, 0), (resource.RLIMIT_SIGPENDING, 256)):
        try:
            _set(kind, value)
        except ValueError:
            # Linux accepts both. gVisor does not support them, but its kernel serves only this app.
            continue


def _set(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))


def _own_sizes() -> tuple[int, int]:
    """VmData and VmSize of this process in bytes. The limits are added to what the fork starts with."""
    page = resource.getpagesize()
    with open("/proc/self/statm", encoding="ascii") as statm:
        fields = statm.read().split()
    return int(fields[5]) * page, int(fields[0]) * page
