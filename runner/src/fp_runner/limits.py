"""What an app may use. The platform sends each number with the start: platform/src/runtime/limits.ts has them."""

import resource
from dataclasses import dataclass
from typing import Final

# A busy machine may owe the app its turn for a while.
_SOFT_TIMEOUT_HEADSTART: Final = 1.0


@dataclass(frozen=True)
class ProcessLimits:
    """The limits that the runner sets in a pod, whose container has the others. Bytes, counts, seconds."""

    file_bytes: int
    open_files: int
    start_seconds: float

    @property
    def kill_seconds(self) -> float:
        """When an app is killed that was interrupted at `start_seconds`, to tell where it was, and has told nothing."""
        return self.start_seconds + _SOFT_TIMEOUT_HEADSTART


@dataclass(frozen=True)
class Limits(ProcessLimits):
    """All limits of an app on a machine."""

    memory_bytes: int
    # Processor cores. None: as many as are free.
    cpus: float | None
    pids: int
    tmp_bytes: int


def apply(limits: Limits, *, memory_cgroup: bool, pids_cgroup: bool, own_user: bool = True) -> None:
    """Sets the rlimits of this process, which its children inherit: the second line behind the cgroups.

    Where a cgroup counts the real thing, the rlimit leaves room: RLIMIT_DATA counts the 8 MiB stack of every thread,
    used or not, and RLIMIT_NPROC counts a uid, which two instances of one app share while one replaces the other.
    """
    data, virtual = _own_sizes()
    memory = limits.memory_bytes
    _set(resource.RLIMIT_DATA, data + (2 * memory if memory_cgroup else memory))
    if not memory_cgroup:
        # Shared mappings are not in RLIMIT_DATA. Wide, since runtimes reserve far more than they use.
        _set(resource.RLIMIT_AS, virtual + 4 * memory)
    if own_user:
        _set(resource.RLIMIT_NPROC, limits.pids * 2 if pids_cgroup else limits.pids)
    apply_per_process(limits)


def apply_per_process(limits: ProcessLimits) -> None:
    """Those that count this process alone: all there is to set in a pod.

    Memory is the container's to count there, and RLIMIT_NPROC would count other pods that have the same user.
    """
    _set(resource.RLIMIT_FSIZE, limits.file_bytes)
    _set(resource.RLIMIT_NOFILE, limits.open_files)
    _set(resource.RLIMIT_CORE, 0)
    _set(resource.RLIMIT_MEMLOCK, 64 * 1024)
    for kind, value in ((resource.RLIMIT_MSGQUEUE, 0), (resource.RLIMIT_SIGPENDING, 256)):
        try:
            _set(kind, value)
        except ValueError:
            # Linux lets any limit be lowered. gVisor's kernel, which is the app's alone, does not know these two.
            continue


def _set(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))


def _own_sizes() -> tuple[int, int]:
    """VmData and VmSize of this process in bytes: the limits come on top of what the fork began with."""
    page = resource.getpagesize()
    with open("/proc/self/statm", encoding="ascii") as statm:
        fields = statm.read().split()
    return int(fields[5]) * page, int(fields[0]) * page
