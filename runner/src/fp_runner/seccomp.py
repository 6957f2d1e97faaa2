"""The syscall filter: a classic BPF program, assembled here and installed with prctl.

It is a deny list, because apps may use any native library. Namespaces, the uid and the missing capabilities isolate the
app; the filter reduces the part of the kernel that apps can reach. It follows Docker's profile.
"""

import ctypes
import errno
import socket
import struct
from collections.abc import Iterable
from typing import Final

from fp_runner import libc, syscalls

_ARCHES: Final = {"x86_64": (0xC000_003E, 0), "aarch64": (0xC000_00B7, 1)}

_ALLOW: Final = 0x7FFF_0000
_KILL: Final = 0x8000_0000
_ERRNO: Final = 0x0005_0000

# BPF opcodes: load a word of struct seccomp_data, jumps on the accumulator, return.
_LD: Final = 0x20
_JEQ: Final = 0x15
_JGE: Final = 0x35
_JSET: Final = 0x45
_RET: Final = 0x06
_NR: Final = 0
_ARCH: Final = 4
_X32_BIT: Final = 0x4000_0000

_CLONE_NAMESPACES: Final = 0x7E02_0000
_TIOCSTI: Final = 0x5412
_TIOCLINUX: Final = 0x541C
_FAMILIES: Final = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6)

_Instruction = tuple[int, int, int, int]


class _Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def _argument(index: int) -> int:
    # The low 32 bits on a little-endian machine. The kernel also reads these flags and numbers as ints.
    return 16 + 8 * index


def _fail(error: int) -> int:
    return _ERRNO | error


def _prologue() -> tuple[list[_Instruction], int]:
    if libc.MACHINE not in _ARCHES:
        raise OSError(errno.ENOSYS, f"no syscall table for {libc.MACHINE}")
    arch, column = _ARCHES[libc.MACHINE]
    # The syscall numbers of another architecture (i386 through int 0x80, x32) would bypass the list.
    code: list[_Instruction] = [(_LD, 0, 0, _ARCH), (_JEQ, 1, 0, arch), (_RET, 0, 0, _KILL)]
    code.append((_LD, 0, 0, _NR))
    if libc.MACHINE == "x86_64":
        code += [(_JGE, 0, 1, _X32_BIT), (_RET, 0, 0, _KILL)]
    return code, column


def _deny(table: Iterable[tuple[int | None, int | None]], column: int) -> list[_Instruction]:
    code: list[_Instruction] = []
    for numbers in table:
        number = numbers[column]
        if number is not None:
            code += [(_JEQ, 0, 1, number), (_RET, 0, 0, _fail(errno.EPERM))]
    return code


def _call(number: int, body: list[_Instruction]) -> list[_Instruction]:
    """Runs `body` for one syscall. It must end with a return, because the accumulator no longer holds the number."""
    return [(_JEQ, 0, len(body), number), *body]


def io_uring_filter() -> list[_Instruction]:
    """Denies only io_uring.

    The zygote installs it before it creates an event loop: uvloop creates an io_uring in every loop, and aborts if one
    stops working. io_uring could also do work that bypasses every other filter.
    """
    code, column = _prologue()
    return [*code, *_deny(syscalls.IO_URING.values(), column), (_RET, 0, 0, _ALLOW)]


def app_filter(listen_fd: int | None) -> list[_Instruction]:
    """The filter of an app. `listen_fd` is the only socket on which it may call listen(2)."""
    code, column = _prologue()
    allow: _Instruction = (_RET, 0, 0, _ALLOW)
    code += _deny((*syscalls.DENIED.values(), *syscalls.IO_URING.values()), column)
    # For an unknown clone3, glibc falls back to clone. A filter cannot check clone3's flags, because they lie in
    # memory.
    code += _call(syscalls.CLONE3[column], [(_RET, 0, 0, _fail(errno.ENOSYS))])
    code += _call(
        syscalls.CLONE[column],
        [
            (_LD, 0, 0, _argument(0)),
            (_JSET, 0, 1, _CLONE_NAMESPACES),
            (_RET, 0, 0, _fail(errno.EPERM)),
            allow,
        ],
    )
    code += _call(
        syscalls.IOCTL[column],
        [
            (_LD, 0, 0, _argument(1)),
            (_JEQ, 1, 0, _TIOCSTI),
            (_JEQ, 0, 1, _TIOCLINUX),
            (_RET, 0, 0, _fail(errno.EPERM)),
            allow,
        ],
    )
    code += _call(syscalls.SOCKET[column], _socket_rule(allow))
    # Without a network namespace an app could occupy a port of the machine by listening on it. On the app's own socket,
    # which already listens, the call succeeds without being executed. So an app gains nothing if it puts another socket
    # at that number with dup2.
    refuse: _Instruction = (_RET, 0, 0, _fail(errno.EACCES))
    if listen_fd is None:
        code += _call(syscalls.LISTEN[column], [refuse])
    else:
        code += _call(
            syscalls.LISTEN[column],
            [
                (_LD, 0, 0, _argument(0)),
                (_JEQ, 0, 1, listen_fd),
                (_RET, 0, 0, _fail(0)),
                refuse,
            ],
        )
    return [*code, allow]


def _socket_rule(allow: _Instruction) -> list[_Instruction]:
    body: list[_Instruction] = [(_LD, 0, 0, _argument(0))]
    for family in _FAMILIES:
        body += [(_JEQ, 0, 1, family), allow]
    # getaddrinfo asks the kernel through NETLINK_ROUTE (0) which address families are in use.
    body += [(_JEQ, 1, 0, socket.AF_NETLINK), (_RET, 0, 0, _fail(errno.EAFNOSUPPORT))]
    body += [(_LD, 0, 0, _argument(2)), (_JEQ, 1, 0, 0), (_RET, 0, 0, _fail(errno.EACCES)), allow]
    return body


def install(code: list[_Instruction]) -> None:
    """Installs the filter for this process and its children. Needs no_new_privs or CAP_SYS_ADMIN."""
    packed = b"".join(struct.pack("HBBI", *instruction) for instruction in code)
    buffer = ctypes.create_string_buffer(packed, len(packed))
    libc.prctl_seccomp(_Program(len(code), ctypes.cast(buffer, ctypes.c_void_p).value))


def is_installed() -> bool:
    """Whether this process has a filter."""
    with open("/proc/self/status", encoding="ascii") as status:
        return any(line.split() == ["Seccomp:", "2"] for line in status)
