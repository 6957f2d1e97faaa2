"""Landlock (Linux 6.7 for ports, 6.12 for abstract sockets): limits apps that must share the machine's network.

It filters by port, not by address, and of TCP only outgoing connections. So it does not replace a network of their own.
"""

import ctypes
import os
from typing import Final

from fp_runner import libc

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG: Final = 1
_RULE_NET_PORT: Final = 2
_CONNECT_TCP: Final = 2
_SCOPE_ABSTRACT_UNIX: Final = 1
_PORTS_SINCE: Final = 4
_SCOPES_SINCE: Final = 6


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class _Port(ctypes.Structure):
    _fields_ = [("allowed", ctypes.c_uint64), ("port", ctypes.c_uint64)]


def limits_ports() -> bool:
    """Whether this kernel can limit the ports that a process may connect to."""
    return _version() >= _PORTS_SINCE


def allow_only(ports: tuple[int, ...]) -> None:
    """From now on this process can connect over TCP only to these ports, and to no abstract socket of other processes.
    Needs no_new_privs or CAP_SYS_ADMIN."""
    scoped = _version() >= _SCOPES_SINCE
    rules = _Ruleset(0, _CONNECT_TCP, _SCOPE_ABSTRACT_UNIX if scoped else 0)
    size = ctypes.sizeof(rules) - (0 if scoped else 8)
    ruleset = libc.syscall(_CREATE_RULESET, ctypes.byref(rules), size, 0)
    try:
        for port in ports:
            rule = _Port(_CONNECT_TCP, port)
            libc.syscall(_ADD_RULE, ruleset, _RULE_NET_PORT, ctypes.byref(rule), 0)
        libc.syscall(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _version() -> int:
    try:
        return libc.syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    except OSError:
        return 0
