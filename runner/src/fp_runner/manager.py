"""The manager: starts, watches and stops the apps of a machine. `python -m fp_runner.manager`, spawned by the platform.

It speaks the protocol of README.md on fd 3. It reads the start requests of all users, so apps are never forked from it:
the zygote forks them (forks.py), and the manager sends each child its start request directly. It is single-threaded,
never imports user code, and ends with the platform.
"""

import os
import resource
import signal
import socket
import sys
import time
from typing import Final

from fp_runner import cgroups, heap, privileges, probe
from fp_runner.connection import PlatformConnection
from fp_runner.cpu_shares import CpuShares
from fp_runner.failure import Failure
from fp_runner.forks import Forks, ForkSettings, FreshInterpreters, SharedZygote
from fp_runner.helper_process import HelperProcess
from fp_runner.instance import Instance
from fp_runner.isolation import Mechanisms
from fp_runner.network import access
from fp_runner.network.settings import ENVIRONMENT, parse
from fp_runner.pool import Pool
from fp_runner.protocol import Message, ProtocolError, StartRequest, parse_start
from fp_runner.reactor import Reactor

_PLATFORM_FD: Final = 3
_SPARES: Final = 2
_DEFAULT_GRACE_MS: Final = 10_000
# The owner of the machine trusts all apps: they run even if the required minimum of the sandbox is not available.
_ALLOW_UNSANDBOXED: Final = "--allow-unsandboxed"
# Each app gets an interpreter of its own instead of a fork of the zygote.
_FRESH_INTERPRETERS: Final = "--fresh-interpreters"


class Manager:
    """Handles the platform's requests."""

    def __init__(
        self,
        sock: socket.socket,
        settings: ForkSettings,
        groups: cgroups.Cgroups,
        helper: HelperProcess | None,
        *,
        allow_unsandboxed: bool,
        fresh_interpreters: bool,
    ) -> None:
        self._reactor = Reactor()
        mechanisms = settings.mechanisms
        self._report = mechanisms.report() | {"network": settings.network.report()}
        self._may_run = (mechanisms.minimum or allow_unsandboxed) and settings.network.kind != "refused"
        self._groups = groups
        self._helper = helper
        self._shares = CpuShares(groups)
        self._instances: dict[str, Instance] = {}
        self._platform = PlatformConnection(sock, self._reactor, self._on_message, self._end)
        self._ended = False
        # Killing pid 1 of a namespace kills all its processes. If the app has no namespace, or if another process
        # precedes pid 1, the app itself is killed.
        self._kill_through_app = not (mechanisms.minimum and mechanisms.own_uid)
        self._forks: Forks
        if fresh_interpreters:
            self._forks = FreshInterpreters(self._reactor, settings)
        else:
            self._forks = SharedZygote(self._reactor, settings, lambda: self._on_end_of("the zygote"))
        spares = _SPARES if self._may_run else 0
        self._pool = Pool(
            self._reactor,
            self._forks,
            helper,
            spares,
            warm=not fresh_interpreters,
            on_helper_end=lambda: self._on_end_of("the helper process"),
        )

    def run(self) -> None:
        """Runs until the platform has disconnected and every app has ended."""
        hello = {"event": "hello", "pid": os.getpid(), "python": sys.version.partition(" ")[0]}
        self._platform.send(hello | {"isolation": self._report, "memory": self._groups.apps_memory()})
        while not self._ended or self._instances or self._pool.spares():
            self._reactor.run_once()
        self._forks.close()
        if self._helper:
            self._helper.close()

    def _on_message(self, message: Message) -> None:
        op = message.get("op")
        if op == "start":
            self._start(message)
        elif op in ("stop", "kill"):
            self._stop(message)
        elif op == "place":
            self._place(message)
        else:
            print(f"fp_runner: unknown op {op!r}", file=sys.stderr, flush=True)

    def _stop(self, message: Message) -> None:
        op, instance = message["op"], self._instances.get(str(message.get("id")))
        if instance is None:
            # This is usual, so it is not logged: the app may have ended before the request arrived.
            return
        if op == "kill":
            instance.kill()
        else:
            grace = message.get("grace_ms", _DEFAULT_GRACE_MS)
            instance.stop(grace if isinstance(grace, int | float) and grace >= 0 else _DEFAULT_GRACE_MS)

    def _start(self, message: Message) -> None:
        begun = time.monotonic()
        try:
            request = parse_start(message)
        except ProtocolError as error:
            self._refuse_unparsed(error)
            return
        if request.id in self._instances:
            # The platform would take an event "failed" as one of the instance that already has this id.
            print(f"fp_runner: {request.id} is already running", file=sys.stderr, flush=True)
            return
        instance = Instance(request, begun, self._reactor, self._platform.send, self._forget)
        self._instances[request.id] = instance
        if not self._may_run:
            instance.refuse("This machine cannot isolate apps (see the isolation report), so no app is started.")
            return
        try:
            instance.open_files()
            child = self._pool.take()
        except OSError as error:
            instance.refuse(f"The app could not be started: {error}")
            return
        instance.oom_kills = lambda: self._groups.oom_kills(child.name)
        instance.kill_through_app = self._kill_through_app
        instance.begin(child)
        self._pool.when_waiting(child, lambda: instance.assign(child, lambda: self._limit(child.name, request)))

    def _limit(self, name: str, request: StartRequest) -> None:
        self._groups.limit(name, request.limits)
        self._shares.add(request.user, name)

    def _place(self, message: Message) -> None:
        """Moves a process of the platform into its group. This process and the zygote move with the group
        "platform"."""
        name, pid = message.get("group"), message.get("pid")
        if self._helper is None or name not in ("platform", "mongodb") or not isinstance(pid, int):
            return
        own = [os.getpid(), *self._forks.pids()] if name == "platform" else []
        for moved in (pid, *own):
            self._helper.place(name, moved)

    def _refuse_unparsed(self, error: ProtocolError) -> None:
        print(f"fp_runner: bad start: {error}", file=sys.stderr, flush=True)
        if error.id is None or error.id in self._instances:
            return
        failure = Failure("FP_SANDBOX_FAILED", str(error)).wire()
        self._platform.send({"event": "failed", "id": error.id, "failure": failure})
        gone = {"code": None, "signal": None, "reason": "crashed", "message": str(error)}
        self._platform.send({"event": "exited", "id": error.id, **gone})

    def _forget(self, instance: Instance) -> None:
        self._instances.pop(instance.request.id, None)
        if instance.child:
            self._shares.remove(instance.child.name)
            self._pool.forget(instance.child)

    def _on_end_of(self, process: str) -> None:
        """Called when a process ends without which no app can start. The platform then starts another manager."""
        if not self._ended:
            print(f"fp_runner: {process} has ended", file=sys.stderr, flush=True)
            self._end()

    def _end(self) -> None:
        self._ended = True
        self._pool.close()
        for instance in list(self._instances.values()):
            instance.kill()
        for child in self._pool.spares():
            child.kill(through_app=self._kill_through_app)


def _die_with_platform() -> None:
    privileges.die_with_parent()
    # If the platform ended before the line above, its end of fd 3 is closed, which this process notices when it reads.


def main() -> None:
    """Runs the manager."""
    sock = socket.socket(fileno=_PLATFORM_FD)
    sock.set_inheritable(False)
    _die_with_platform()
    # Ctrl-C sends SIGINT to the whole process group. The platform decides what then happens.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Each app takes seven descriptors, so the usual soft limit of 1024 would allow only about 140 apps.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # The helper process and the resolver are forked from this process.
    heap.prepare()
    groups = cgroups.detect(os.getpid())
    own_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    mechanisms: Mechanisms = probe.detect(groups, own_namespace)
    os.close(own_namespace)
    # The helper is forked early, while the process is still small. The variable is removed, so that no child inherits
    # it. Without it apps get no network of their own.
    text = os.environ.pop(ENVIRONMENT, None)
    wanted = parse(text)
    joined = text is not None and wanted.mode != "none" and mechanisms.own_uid and mechanisms.network
    helper = HelperProcess(groups, wanted if joined else None) if groups.folders or joined else None
    if text is None:
        network = access.NetworkAccess("shared")
    else:
        network = access.choose(wanted, mechanisms, helper.network if helper and joined else None)
        mechanisms = network.reported(mechanisms)
    settings = ForkSettings(mechanisms, network, wanted.mongodb)
    if os.geteuid() != 0:
        privileges.no_new_privs()
    manager = Manager(
        sock,
        settings,
        groups,
        helper,
        allow_unsandboxed=_ALLOW_UNSANDBOXED in sys.argv,
        fresh_interpreters=_FRESH_INTERPRETERS in sys.argv,
    )
    manager.run()


if __name__ == "__main__":
    main()
