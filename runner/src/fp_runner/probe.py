"""Finds out which isolation mechanisms this machine supports, by using each in a temporary child process."""

import json
import os
import resource
import time
from collections.abc import Callable
from typing import Final

from fp_runner import libc, namespaces, privileges, root, seccomp
from fp_runner.cgroups import Cgroups
from fp_runner.isolation import Mechanisms

_TRY_UID: Final = 200_000
_REMOVAL_ATTEMPTS: Final = 100
_REMOVAL_PAUSE: Final = 0.01


def detect(groups: Cgroups, own_namespace: int) -> Mechanisms:
    """Tries all mechanisms. Leaves nothing behind."""
    why: dict[str, str] = {}
    as_root = os.geteuid() == 0
    tried: dict[str, Callable[[], None]] = {
        "mount_namespace": _private_root,
        "ipc_namespace": lambda: libc.unshare(libc.CLONE_NEWIPC),
        "network": lambda: namespaces.leave_host(network=True),
        "uts_namespace": lambda: libc.unshare(libc.CLONE_NEWUTS),
        "no_new_privs": privileges.no_new_privs,
        "seccomp": _seccomp,
        "rlimits": lambda: resource.setrlimit(resource.RLIMIT_NPROC, (64, 64)),
    }
    found: dict[str, bool] = {}
    if as_root:
        found["own_uid"] = _try("own_uid", lambda: privileges.become(_TRY_UID, _TRY_UID), None, why)
        found["user_namespace"] = False
        why["user_namespace"] = "not needed as root"
        inside = own_namespace
    else:
        why["own_uid"] = "the manager is not root"
        found["own_uid"] = False
        found["user_namespace"] = _try("user_namespace", lambda: None, -1, why)
        inside = -1
    found["pid_namespace"] = _try("pid_namespace", _is_pid_one, inside, why)
    for name, attempt in tried.items():
        found[name] = _try(name, attempt, inside, why)
    for name in ("memory", "pids", "cpu"):
        found[f"{name}_cgroup"] = _try_group(name, groups, why)
    return Mechanisms(**found, why=why)


def _try(name: str, attempt: Callable[[], None], namespace: int | None, why: dict[str, str]) -> bool:
    """Runs `attempt` in a child: a plain fork (None), in a pid namespace as root (its fd), or in a user namespace
    (-1)."""
    read, write = os.pipe2(os.O_CLOEXEC)

    def body() -> None:
        try:
            attempt()
            os.write(write, b'""')
        except BaseException as error:
            os.write(write, json.dumps(f"{type(error).__name__}: {error}").encode())
        os._exit(0)

    try:
        as_root = namespace is not None and namespace >= 0
        pid = namespaces.fork_into_pid_namespace(namespace or 0) if as_root else os.fork()
        if pid == 0:
            try:
                if namespace == -1:
                    namespaces.fork_through_user_namespace(body, _TRY_UID, _TRY_UID)  # type: ignore[arg-type]
                body()
            except BaseException as error:
                os.write(write, json.dumps(f"{type(error).__name__}: {error}").encode())
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
    except OSError as error:
        os.close(write)
        os.close(read)
        why[name] = str(error)
        return False
    os.close(write)
    answer = os.read(read, 4096)
    os.close(read)
    reason = json.loads(answer) if answer else "the child that tried it died"
    if reason:
        why[name] = reason
    return not reason


def _is_pid_one() -> None:
    if os.getpid() != 1:
        raise OSError("not pid 1")


def _private_root() -> None:
    namespaces.leave_host(network=False)
    root.build(root.etc_files(), None)
    root.mount_proc()
    root.enter("/usr", None, 1 << 20, _TRY_UID, _TRY_UID)
    if os.path.exists("/etc/shadow") or not os.path.exists("/proc/self/status"):
        raise OSError("the private root is not private")


def _seccomp() -> None:
    privileges.no_new_privs()
    seccomp.install(seccomp.app_filter(None))
    try:
        libc.unshare(libc.CLONE_NEWNS)
    except PermissionError:
        return
    raise OSError("the filter does not filter")


def _try_group(name: str, groups: Cgroups, why: dict[str, str]) -> bool:
    if name not in groups.folders:
        why[f"{name}_cgroup"] = groups.why[name]
        return False
    only = Cgroups({name: groups.folders[name]}, groups.version)
    pid = os.fork()
    if pid == 0:
        try:
            only.create("probe")
            only.attach("probe", os.getpid())
        except OSError:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if not _removes(only, "probe"):
        why[f"{name}_cgroup"] = "a group could not be removed"
    elif status:
        why[f"{name}_cgroup"] = "a process could not be moved into a group"
    else:
        return True
    del groups.folders[name]
    return False


def _removes(groups: Cgroups, name: str) -> bool:
    """Whether a group whose processes have ended can be removed. The kernel may take a moment."""
    for _ in range(_REMOVAL_ATTEMPTS):
        if groups.remove(name):
            return True
        time.sleep(_REMOVAL_PAUSE)
    return False
