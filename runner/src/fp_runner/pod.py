"""The first process of a pod's container: `python -m fp_runner.pod [--wait [--cold]]`.

It reads its start request from a mounted file, or waits until the platform sends one (`--wait`). A waiting pod imports
the frameworks first, unless a request already waits for its app (`--cold`). It never runs user code. The contract is
docs/decisions/0020-the-kubernetes-home.md. Modules that not every pod needs are imported late, for faster cold starts.
"""

import gc
import os
import signal
import socket
import sys
import time
import traceback
from typing import Final, NoReturn

from fp_runner import libc, privileges, seccomp, tcp
from fp_runner.app_child import AppChild
from fp_runner.reactor import Reactor

_KEY: Final = "FP_POD_KEY"
_GRACE: Final = "FP_STOP_GRACE_S"
_DEFAULT_GRACE: Final = 30.0
_MADE_WITH_SANDBOX: Final = "/etc/resolv.conf"
_SANDBOX_MS: Final = 60_000
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
_FLAGS: Final = ("--wait", "--cold")
# Each option is followed by its value. Only this program itself passes --key-fd.
_OPTIONS: Final = {
    "--start-request": "/fp/start/request.json.gz",
    "--app-dir": "/app",
    "--port": "8000",
    "--termination-log": "/dev/termination-log",
    # How long the cluster may take to enforce network policies. Code of an app only runs afterwards. 0: no check.
    "--network-policy-seconds": "10",
    "--key-fd": "",
}


class _SetupError(Exception):
    """The pod is not set up correctly."""


def main() -> None:
    """Runs the pod until it ends."""
    begun = time.monotonic()
    # The kernel discards signals for which the first process has no handler, unless they are blocked.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    options = dict(_OPTIONS)
    try:
        flags = _read_arguments(sys.argv[1:], options)
        _run(options, begun, wait="--wait" in flags, warm=flags == {"--wait"})
    except Exception as error:
        from fp_runner import termination
        from fp_runner.failure import Failure

        text = f"The pod could not be set up: {error}"
        if not isinstance(error, _SetupError):
            traceback.print_exc()
        termination.write(options["--termination-log"], Failure("FP_SANDBOX_FAILED", text).wire())
        sys.exit(f"fp_runner: {text}")


def _run(options: dict[str, str], begun: float, *, wait: bool, warm: bool) -> NoReturn:
    if _KEY in os.environ:
        _start_again_without_key()
    if os.getuid() == 0:
        raise _SetupError("it must not run as root; set runAsUser to another user")
    if wait and not options["--key-fd"]:
        raise _SetupError(f"--wait needs the key of the pod; set {_KEY}")
    gc.disable()
    wakeups = _signals()
    listener = tcp.listen(int(options["--port"]))
    _protect()
    reactor = Reactor()
    # Forked before the key is read and a client can connect, so the app's process never has either.
    child = AppChild(reactor, warm=warm)
    _supervise(reactor, listener, child, wakeups, options, begun, wait=wait, warm=warm)


def _supervise(
    reactor: Reactor,
    listener: socket.socket,
    child: AppChild,
    wakeups: int,
    options: dict[str, str],
    begun: float,
    *,
    wait: bool,
    warm: bool,
) -> NoReturn:
    from fp_runner import pod_start_request
    from fp_runner.supervisor import Settings, Supervisor

    policy_seconds = _number(options, "--network-policy-seconds")
    # A waiting pod checks the policies before it is claimed, so that the check delays no wake.
    settings = Settings(options["--app-dir"], options["--termination-log"], _grace(), 0.0 if wait else policy_seconds)
    supervisor = Supervisor(reactor, listener, child, settings)

    def on_signal() -> None:
        numbers = os.read(wakeups, 512)
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            supervisor.stop()
        supervisor.reap()

    reactor.watch(wakeups, on_signal)
    if wait:
        from fp_runner import network_policies
        from fp_runner.claim import ClaimKey

        with open(int(options["--key-fd"]), encoding="ascii") as file:
            key = file.read().strip()
        if not key:
            raise _SetupError(f"{_KEY} is empty")
        try:
            network_policies.wait_until_enforced(policy_seconds)
        except network_policies.NotEnforcedError as error:
            supervisor.fail("FP_SANDBOX_FAILED", f"No app may run here: {error}.")
        else:
            supervisor.offer(ClaimKey(key), at_once=not warm)
    else:
        try:
            with open(options["--start-request"], "rb") as packed:
                given = pod_start_request.unpack(packed.read(pod_start_request.MAX_PACKED + 1))
            if given.assets:
                raise pod_start_request.StartRequestError("an app with assets needs a pod that was started with --wait")
        except (OSError, pod_start_request.StartRequestError) as error:
            supervisor.fail("FP_SANDBOX_FAILED", f"The start request cannot be read: {error}")
        else:
            since = begun - _age()
            supervisor.start(given, since, _sandboxed(since) | {"interpreter": (begun - since) * 1000})
    while supervisor.exit_code is None:
        reactor.run_once()
    # All remaining processes end with this process, because it is the first of its pid namespace.
    os._exit(supervisor.exit_code)


def _read_arguments(given: list[str], options: dict[str, str]) -> set[str]:
    """Parses the arguments and returns the flags. Importing argparse would take as long as starting Python."""
    rest, flags = iter(given), set[str]()
    for name in rest:
        if name in _FLAGS:
            flags.add(name)
        elif name in options:
            options[name] = next(rest, "")
        else:
            raise _SetupError(f"unknown option {name}; known are {' '.join((*_FLAGS, *_OPTIONS))}")
    return flags


def _start_again_without_key() -> NoReturn:
    """Moves the key from the environment into a pipe, because a fork could read the environment in its own memory."""
    read, write = os.pipe()
    os.write(write, os.environ.pop(_KEY).encode())
    os.set_inheritable(read, True)
    os.execv(sys.executable, [*sys.orig_argv, "--key-fd", str(read)])


def _signals() -> int:
    """Returns the read end of a pipe that receives the numbers of signals."""
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for number in _SIGNALS:
        signal.signal(number, lambda _number, _frame: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    return read


def _protect() -> None:
    # The app has the same user. This keeps it from reading this process's memory and files.
    libc.prctl(libc.PR_SET_DUMPABLE, 0)
    # Makes this process the parent of orphans, even if the pod shares its pid namespace and this is not pid 1.
    libc.prctl(libc.PR_SET_CHILD_SUBREAPER, 1)
    privileges.no_new_privs()
    # uvloop creates an io_uring in every loop, and aborts if the app's own filter later denies it.
    seccomp.install(seccomp.io_uring_filter())


def _number(options: dict[str, str], name: str) -> float:
    try:
        return float(options[name])
    except ValueError:
        raise _SetupError(f"{name} must be a number, not {options[name]!r}") from None


def _grace() -> float:
    try:
        return max(0.0, float(os.environ.get(_GRACE, "")))
    except ValueError:
        return _DEFAULT_GRACE


def _sandboxed(since: float) -> dict[str, float]:
    """When the pod's sandbox was created, in ms from the container's start. The runtime writes resolv.conf at that
    time."""
    try:
        made = os.stat(_MADE_WITH_SANDBOX).st_mtime
    except OSError:
        return {}
    ms = (made - time.time() + time.monotonic() - since) * 1000
    # Otherwise the file is from the image, or from an earlier start of the container.
    return {"sandbox": ms} if -_SANDBOX_MS < ms < 0 else {}


def _age() -> float:
    """Seconds since the start of this process, and thus of the container. The kernel has a resolution of 10 ms."""
    with open("/proc/self/stat", encoding="utf-8", errors="replace") as stat:
        started = int(stat.read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started)


if __name__ == "__main__":
    main()
