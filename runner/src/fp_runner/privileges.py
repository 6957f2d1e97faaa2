"""Drops privileges: user, groups, capabilities."""

import os

from fp_runner import libc


def last_capability() -> int:
    """The highest capability of this kernel."""
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        return int(file.read())


def become(uid: int, gid: int) -> None:
    """Switches to the user and group, without supplementary groups. Irreversible."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def drop_bounding_set(last_cap: int) -> None:
    """Empties the bounding set, so that no file can restore a capability. Needs CAP_SETPCAP."""
    for capability in range(last_cap + 1):
        libc.prctl(libc.PR_CAPBSET_DROP, capability)


def drop_capabilities() -> None:
    """Empties every capability set except the bounding set."""
    libc.prctl(libc.PR_CAP_AMBIENT, libc.PR_CAP_AMBIENT_CLEAR_ALL)
    libc.drop_capability_sets()


def no_new_privs() -> None:
    """From now on, no exec can gain privileges."""
    libc.prctl(libc.PR_SET_NO_NEW_PRIVS, 1)


def die_with_parent() -> None:
    """Sends this process SIGKILL when its parent ends. A change of uid clears the setting, so call this afterwards."""
    libc.prctl(libc.PR_SET_PDEATHSIG, 9)
