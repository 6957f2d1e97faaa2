"""Forking into new namespaces, as root and as an ordinary user."""

import os
from collections.abc import Callable
from typing import Final, NoReturn

from fp_runner import libc, privileges
from fp_runner.network.netlink import LOOPBACK_INDEX, Netlink, link_up

_MOUNT_IPC_UTS: Final = libc.CLONE_NEWNS | libc.CLONE_NEWIPC | libc.CLONE_NEWUTS


def fork_into_pid_namespace(own_namespace: int) -> int:
    """Forks a child that is pid 1 of a new pid namespace. `own_namespace` is an fd of /proc/self/ns/pid.

    unshare only affects later children, and setns undoes it. So one fork has the effect of clone(CLONE_NEWPID). After a
    raw clone, glibc and Python would have wrong information about their process.
    """
    libc.unshare(libc.CLONE_NEWPID)
    try:
        child = libc.fork()
    except OSError:
        libc.setns(own_namespace, libc.CLONE_NEWPID)
        raise
    if child != 0:
        libc.setns(own_namespace, libc.CLONE_NEWPID)
    return child


def fork_through_user_namespace(body: Callable[[], NoReturn], uid: int, gid: int) -> NoReturn:
    """Runs `body` as pid 1 of new user, pid, mount, ipc and uts namespaces, and exits when it ends.

    For zygotes that are not root. `uid` and `gid` are what the app sees; outside it runs as the zygote's user.
    """
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    zygote = os.getppid()
    libc.unshare(libc.CLONE_NEWUSER | libc.CLONE_NEWPID)
    # This comes after unshare, whose new capabilities clear the setting. If the zygote has died before, the parent
    # differs.
    privileges.die_with_parent()
    if os.getppid() != zygote:
        os._exit(1)
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{uid} {outer_uid} 1")
    _write("/proc/self/gid_map", f"{gid} {outer_gid} 1")
    child = os.fork()
    if child == 0:
        body()
    os.waitpid(child, 0)
    os._exit(0)


def leave_host(*, network: bool) -> None:
    """Moves this process into new mount, ipc and uts namespaces; with `network` also into one with only a loopback."""
    libc.unshare(_MOUNT_IPC_UTS | (libc.CLONE_NEWNET if network else 0))
    if network:
        with Netlink() as links:
            links.request(link_up(LOOPBACK_INDEX))
    libc.sethostname("app")


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
