"""The Linux calls for which Python 3.11 has no function. Each raises OSError, as functions of `os` do."""

import ctypes
import os
from typing import Final

_libc = ctypes.CDLL(None, use_errno=True)
# Functions called through PyDLL keep the GIL, so a fork also has it.
_python = ctypes.PyDLL(None, use_errno=True)

MACHINE: Final = os.uname().machine

CLONE_NEWNS: Final = 0x0002_0000
CLONE_NEWUTS: Final = 0x0400_0000
CLONE_NEWIPC: Final = 0x0800_0000
CLONE_NEWUSER: Final = 0x1000_0000
CLONE_NEWPID: Final = 0x2000_0000
CLONE_NEWNET: Final = 0x4000_0000

MS_RDONLY: Final = 0x1
MS_NOSUID: Final = 0x2
MS_NODEV: Final = 0x4
MS_NOEXEC: Final = 0x8
MS_REMOUNT: Final = 0x20
MS_BIND: Final = 0x1000
MS_REC: Final = 0x4000
MS_PRIVATE: Final = 0x4_0000
MNT_DETACH: Final = 0x2

PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
PR_SET_NAME: Final = 15
PR_SET_SECCOMP: Final = 22
PR_CAPBSET_DROP: Final = 24
PR_SET_SECUREBITS: Final = 28
PR_SET_CHILD_SUBREAPER: Final = 36
PR_SET_NO_NEW_PRIVS: Final = 38
PR_GET_NO_NEW_PRIVS: Final = 39
PR_CAP_AMBIENT: Final = 47
PR_CAP_AMBIENT_CLEAR_ALL: Final = 4

MADV_DONTNEED: Final = 4
MADV_POPULATE_READ: Final = 22

_AT_FDCWD: Final = -100
_AT_RECURSIVE: Final = 0x8000
# Numbers above 423 are the same on every architecture.
_SYS_MOUNT_SETATTR: Final = 442
_SYS_PIVOT_ROOT: Final = {"x86_64": 155, "aarch64": 41}.get(MACHINE, -1)


class _MountAttr(ctypes.Structure):
    _fields_ = [
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    ]


class _CapHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _CapData(ctypes.Structure):
    _fields_ = [
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    ]


def _check(result: int, what: str) -> int:
    if result < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"{what}: {os.strerror(errno)}")
    return result


def syscall(number: int, *arguments: object) -> int:
    """syscall(2), for calls without a function in the C library."""
    wide = [ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments]
    return _check(_libc.syscall(ctypes.c_long(number), *wide), f"syscall {number}")


def fork() -> int:
    """fork(2) without the handlers that modules register with os.fork, which would copy 0.7 MiB in the child. Only for
    a process with one thread whose child uses neither `random` nor a database client."""
    return _check(_python.fork(), "fork")


def madvise(begin: int, length: int, advice: int) -> None:
    """madvise(2)."""
    _check(_libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(length), advice), "madvise")


def unshare(flags: int) -> None:
    """Moves this process (for CLONE_NEWPID: its future children) into new namespaces."""
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int) -> None:
    """Enters the namespace of the descriptor `fd`."""
    _check(_libc.setns(fd, kind), "setns")


def mount(source: str, target: str, fstype: str | None, flags: int, data: str = "") -> None:
    """mount(2)."""
    result = _libc.mount(
        source.encode(),
        target.encode(),
        fstype.encode() if fstype else None,
        ctypes.c_ulong(flags),
        data.encode() or None,
    )
    _check(result, f"mount {target}")


def restrict_mounts(target: str, flags: int) -> None:
    """Adds MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC to a mount and all its submounts (Linux 5.12).

    MS_REMOUNT would leave submounts writable. These flags have the same values in mount(2) and mount_setattr(2).
    """
    attr = _MountAttr(attr_set=flags)
    result = _libc.syscall(
        _SYS_MOUNT_SETATTR,
        _AT_FDCWD,
        target.encode(),
        _AT_RECURSIVE,
        ctypes.byref(attr),
        ctypes.sizeof(attr),
    )
    _check(result, f"mount_setattr {target}")


def pivot_root_here(new_root: str) -> None:
    """Makes `new_root` the root of this mount namespace and unmounts the old root."""
    os.chdir(new_root)
    # "." twice stacks the old root over the new one, so no folder for it is needed (pivot_root(2)).
    _check(_libc.syscall(_SYS_PIVOT_ROOT, b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", MNT_DETACH), "umount of the old root")
    os.chdir("/")


def sethostname(name: str) -> None:
    """Sets the host name of this UTS namespace."""
    _check(_libc.sethostname(name.encode(), len(name)), "sethostname")


def prctl(option: int, arg2: int = 0, arg3: int = 0) -> int:
    """prctl(2) with integer arguments."""
    zero = ctypes.c_ulong(0)
    result = _libc.prctl(option, ctypes.c_ulong(arg2), ctypes.c_ulong(arg3), zero, zero)
    return _check(result, "prctl")


def prctl_seccomp(program: ctypes.Structure) -> None:
    """Installs a seccomp filter; the program is a struct sock_fprog."""
    mode_filter = ctypes.c_ulong(2)
    _check(_libc.prctl(PR_SET_SECCOMP, mode_filter, ctypes.byref(program)), "seccomp")


def drop_capability_sets() -> None:
    """Empties the effective, permitted and inheritable sets."""
    header = _CapHeader(0x2008_0522, 0)
    _check(_libc.capset(ctypes.byref(header), (_CapData * 2)()), "capset")
