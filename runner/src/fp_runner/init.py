"""Pid 1 of an app's pid namespace: creates the sandbox, forks the app and reaps orphans.

It is a process of its own, because an app that is pid 1 could not distinguish its children from orphans, and would
ignore signals that it sends to itself. When pid 1 ends, the kernel kills all remaining processes of the namespace.
"""

import os
import socket
from typing import Final, NoReturn

from fp_runner import app_process, channel, libc, privileges, sandbox, serve
from fp_runner.asgi import AsgiApp, RunnerApp
from fp_runner.failure import Failure
from fp_runner.isolation import Mechanisms
from fp_runner.limits import Limits
from fp_runner.protocol import Message

# From -1000 to 1000: the kernel kills an app before the platform and the database.
_OOM_SCORE: Final = "500"
_NICE: Final = 5


class SandboxEnvironment:
    """The AppEnvironment (see app_process) of an app on a machine with other apps."""

    def __init__(self, settings: sandbox.SandboxSettings) -> None:
        self._settings = settings

    def enter(self, request: Message, listen_fd: int | None) -> str:
        """Enters the sandbox."""
        given = Limits(**request["limits"])
        return sandbox.enter(
            self._settings, request["app_dir"], request["storage"], request["uid"], request["gid"], given, listen_fd
        )

    def server(
        self, app: AsgiApp, _request: Message, control: socket.socket, on_ready: app_process.OnReady
    ) -> serve.AppServer:
        """Serves on the unix socket that the manager bound."""
        return serve.AppServer(serve.make_config(RunnerApp(app)), control, on_ready)


def run(settings: sandbox.SandboxSettings, control: socket.socket, status_fd: int) -> NoReturn:
    """The main function of pid 1. Writes the app's wait status to `status_fd` as a line and exits."""
    try:
        privileges.die_with_parent()
        _lower_priority(settings.mechanisms)
        # Without root the app may have the same user. This keeps it from reading this process's /proc entries.
        libc.prctl(libc.PR_SET_DUMPABLE, 0)
        _silence()
        sandbox.prepare(settings)
        # The manager sends "go" once this process is in its cgroups and has a network. The app inherits both.
        go = channel.receive(control)
        if go is None:
            os._exit(0)
        _join_network(settings, go.fds)
        app = os.fork()
    except BaseException as error:
        _report(control, error)
        os._exit(1)
    if app == 0:
        os.close(status_fd)
        app_process.run(SandboxEnvironment(settings), control, bool(go.message.get("spare")))
    control.close()
    privileges.no_new_privs()
    privileges.drop_capabilities()
    os.write(status_fd, b"%d\n" % _reap_until(app))
    os._exit(0)


def _lower_priority(mechanisms: Mechanisms) -> None:
    """Gives the rest of the machine priority when memory or processor time is short."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:
            score.write(_OOM_SCORE)
    except OSError:
        # Some kernels and containers do not allow a change.
        pass
    if not mechanisms.cpu_cgroup:
        os.nice(_NICE)


def _join_network(settings: sandbox.SandboxSettings, fds: list[int]) -> None:
    if settings.isolated and settings.network.kind == "filtered":
        # Without a namespace the app would stay in the machine's network, so a missing one is an error.
        (namespace,) = fds
        libc.setns(namespace, libc.CLONE_NEWNET)
    for fd in fds:
        os.close(fd)


def _reap_until(app: int) -> int:
    while True:
        pid, status = os.wait()
        if pid == app:
            return status


def _silence() -> None:
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)


def _report(control: socket.socket, error: BaseException) -> None:
    text = f"The sandbox could not be made: {type(error).__name__}: {error}"
    try:
        channel.send(control, {"event": "failed", "failure": Failure("FP_SANDBOX_FAILED", text).wire()})
    except OSError:
        return
