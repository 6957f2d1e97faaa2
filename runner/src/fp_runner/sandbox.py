"""Puts a forked process into its sandbox in two steps: first what is the same for every app, then what is specific."""

import os
from dataclasses import dataclass
from typing import Final

from fp_runner import landlock, libc, limits, namespaces, privileges, root, seccomp
from fp_runner.isolation import Mechanisms
from fp_runner.network.access import NetworkAccess

_HOME: Final = "/tmp"


@dataclass(frozen=True)
class SandboxSettings:
    """The settings that all sandboxes share. The zygote collects them once."""

    mechanisms: Mechanisms
    etc: dict[str, bytes]
    last_capability: int
    network: NetworkAccess
    # The folder with MongoDB's socket on the host.
    mongodb: str | None

    @property
    def isolated(self) -> bool:
        """Whether apps get namespaces and a private root. If not, no app runs unless the admin allows it."""
        return self.mechanisms.minimum


def prepare(settings: SandboxSettings) -> None:
    """Creates the namespaces and the common root, as pid 1 of its namespace. The host's files are still reachable."""
    if not settings.isolated:
        return
    os.umask(0o022)
    namespaces.leave_host(network=settings.network.kind == "isolated")
    root.build(settings.etc, settings.mongodb)
    root.mount_proc()


def enter(
    settings: SandboxSettings,
    app_dir: str,
    storage: str | None,
    uid: int,
    gid: int,
    limit: limits.Limits,
    listen_fd: int | None,
) -> str:
    """The last step: sets the app's own root and user, irreversibly. User code may run afterwards.

    Returns the app's folder as the app sees it.
    """
    mechanisms = settings.mechanisms
    if not settings.isolated:
        if storage:
            raise OSError("app storage needs the sandbox; start fp as root, or turn the app's storage off")
        return _enter_unisolated(settings, app_dir, limit, listen_fd)
    # This must come first, because it needs the old /proc, which the private root replaces.
    root.enter(app_dir, storage, limit.tmp_bytes, uid, gid)
    limits.apply(limit, memory_cgroup=mechanisms.memory_cgroup, pids_cgroup=mechanisms.pids_cgroup)
    privileges.drop_bounding_set(settings.last_capability)
    if mechanisms.own_uid:
        privileges.become(uid, gid)
    privileges.drop_capabilities()
    privileges.no_new_privs()
    # The change of user has cleared this setting.
    privileges.die_with_parent()
    # The app must read its own /proc/self, which the change of user has disabled.
    libc.prctl(libc.PR_SET_DUMPABLE, 1)
    os.umask(0o022)
    _limit_ports(settings.network)
    seccomp.install(seccomp.app_filter(listen_fd))
    return root.APP_DIR


def _limit_ports(network: NetworkAccess) -> None:
    if network.ports is not None:
        landlock.allow_only(network.ports)


def _enter_unisolated(settings: SandboxSettings, app_dir: str, limit: limits.Limits, listen_fd: int | None) -> str:
    """Without namespaces, only the limits apply, and the syscall filter if the kernel supports it."""
    mechanisms = settings.mechanisms
    os.chdir(app_dir)
    # The app runs as the platform's user, so a limit on processes would count the platform's processes too.
    limits.apply(limit, memory_cgroup=mechanisms.memory_cgroup, pids_cgroup=mechanisms.pids_cgroup, own_user=False)
    privileges.no_new_privs()
    privileges.die_with_parent()
    _limit_ports(settings.network)
    if mechanisms.seccomp:
        seccomp.install(seccomp.app_filter(listen_fd))
    return app_dir


def environment_variables(env: dict[str, str], bin_dir: str) -> dict[str, str]:
    """The app's whole environment: a few fixed variables and those from the platform."""
    fixed = {
        "PATH": f"{bin_dir}:/usr/local/bin:/usr/bin:/bin",
        "HOME": _HOME,
        "TMPDIR": _HOME,
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    return fixed | env
