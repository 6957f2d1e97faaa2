"""Gives up rights: user, groups, capabilities."""

import os

from fp_runner import libc


def last_capability() -> int:
    """The highest capability that this kernel knows."""
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        return int(file.read())


def become(uid: int, gid: int) -> None:
    """Takes the user and group, with no supplementary groups. Irreversible."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def drop_bounding_set(last_cap: int) -> None:
    """Empties the bounding set, so that no file on disk can give a capability back. Needs CAP_SETPCAP."""
    for capability in range(last_cap + 1):
        libc.prctl(libc.PR_CAPBSET_DROP, capability)


def drop_capabilities() -> None:
    """Empties every set but the bounding one."""
    libc.prctl(libc.PR_CAP_AMBIENT, libc.PR_CAP_AMBIENT_CLEAR_ALL)
    libc.drop_capability_sets()


def no_new_privs() -> None:
    """No later exec can give rights."""
    libc.prctl(libc.PR_SET_NO_NEW_PRIVS, 1)


def die_with_parent() -> None:
    """SIGKILL when the parent ends. A change of uid clears it: set it after that."""
    libc.prctl(libc.PR_SET_PDEATHSIG, 9)
