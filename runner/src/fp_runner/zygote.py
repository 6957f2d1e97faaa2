"""The zygote: an interpreter that has imported what apps import; apps are its forks. `python -m fp_runner.zygote`.

An app can read all memory that it was forked with, so this process never gets any data of users. The manager (forks.py)
requests forks on fd 3, and the zygote passes two descriptors to each child without reading them. The manager sends the
start request (code, environment, secrets) directly to the child. The zygote is single-threaded and never imports user
code.
"""

import os
import signal
import socket
from typing import Final, NoReturn

from fp_runner import channel, heap, init, libc, namespaces, preload, privileges, root, seccomp, session_key
from fp_runner.descriptors import close_all_but
from fp_runner.isolation import Mechanisms
from fp_runner.network.access import NetworkAccess
from fp_runner.sandbox import SandboxSettings

_MANAGER_FD: Final = 3
# The user id that an app without root sees before its start request. Any number works.
_INNER_ID: Final = 65534


def main() -> None:
    """Forks on request until the manager has closed the channel."""
    manager = socket.socket(fileno=_MANAGER_FD)
    manager.set_inheritable(False)
    # If the manager died before this line, its end of the channel is closed, which ends the loop below.
    privileges.die_with_parent()
    # The kernel reaps the children, because the manager watches them through pidfds.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    configured = channel.receive(manager)
    if configured is None:
        return
    given = configured.message["settings"]
    mechanisms, network = Mechanisms(**given["mechanisms"]), NetworkAccess.from_json(given["network"])
    if os.geteuid() != 0:
        privileges.no_new_privs()
    if mechanisms.seccomp:
        seccomp.install(seccomp.io_uring_filter())
    if configured.message["preload"]:
        preload.preload()
        heap.prepare()
    else:
        session_key.install()
    etc = root.etc_files(network.resolver)
    settings = SandboxSettings(mechanisms, etc, privileges.last_capability(), network, given["mongodb"])
    own_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    while (request := channel.receive(manager)) is not None:
        _answer(manager, settings, own_namespace, request.fds)
    # Exits immediately: there is nothing to clean up, and the manager waits for the exit.
    os._exit(0)


def _answer(manager: socket.socket, settings: SandboxSettings, own_namespace: int, fds: list[int]) -> None:
    control_fd, status_fd = fds
    try:
        pid = _fork(settings, own_namespace, control_fd, status_fd)
        pidfd = os.pidfd_open(pid)
    except OSError as error:
        channel.send(manager, {"error": str(error)})
        return
    finally:
        os.close(control_fd)
        os.close(status_fd)
    channel.send(manager, {"pid": pid}, (pidfd,))
    os.close(pidfd)


def _fork(settings: SandboxSettings, own_namespace: int, control_fd: int, status_fd: int) -> int:
    if settings.isolated and settings.mechanisms.own_uid:
        pid = namespaces.fork_into_pid_namespace(own_namespace)
    else:
        pid = libc.fork()
    if pid == 0:
        _become_init(settings, control_fd, status_fd)
    return pid


def _become_init(settings: SandboxSettings, control_fd: int, status_fd: int) -> NoReturn:
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        # This also closes the manager's channel, because only the zygote may read requests for forks.
        close_all_but({control_fd, status_fd})
        control = socket.socket(fileno=control_fd)
        if settings.mechanisms.own_uid or not settings.isolated:
            init.run(settings, control, status_fd)
        namespaces.fork_through_user_namespace(lambda: init.run(settings, control, status_fd), _INNER_ID, _INNER_ID)
    except BaseException as error:
        os.write(2, f"fp_runner: a child ended early: {error!r}\n".encode())
    finally:
        os._exit(1)


if __name__ == "__main__":
    main()
