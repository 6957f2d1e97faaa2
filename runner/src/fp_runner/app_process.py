"""The process that becomes the app: waits for its start request, enters the sandbox, imports the app and serves it."""

import asyncio
import gc
import os
import random
import signal
import socket
import sys
import types
from collections.abc import Callable
from typing import Any, Final, NoReturn, Protocol

import uvloop

from fp_runner import channel, failure, heap, loader, log, preload, sandbox, serve
from fp_runner.asgi import AsgiApp, RunnerApp
from fp_runner.failure import Code, Failure
from fp_runner.protocol import Message

OnReady = Callable[[], None]
_FAILED: Final = 1


class AppEnvironment(Protocol):
    """Where the app runs: on a machine with other apps, in a sandbox of the runner, or alone in a pod."""

    def enter(self, request: Message, listen_fd: int | None) -> str:
        """Drops all privileges, so that user code may run. Returns the app's folder as the app sees it."""
        ...

    def server(self, app: AsgiApp, request: Message, control: socket.socket, on_ready: OnReady) -> serve.AppServer:
        """The server for an app that has just been imported."""
        ...


class _StopError(Exception):
    """The start failed and was reported."""


class _Reporter:
    """Reports the progress of the start to the manager."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control

    def event(self, name: str, **more: Any) -> None:
        channel.send(self._control, {"event": name, **more})

    def phase(self, name: str) -> None:
        self.event("phase", phase=name)

    def fail(self, failed: Failure) -> _StopError:
        self.event("failed", failure=failed.wire())
        if failed.code != "FP_SANDBOX_FAILED":
            failure.print_failure(failed)
        return _StopError()


def run(environment: AppEnvironment, control: socket.socket, spare: bool) -> NoReturn:
    """Runs the app and exits the process when it ends. A spare warms up first, while no request waits for it."""
    code = _FAILED
    try:
        serve.default_signals()
        # A spare creates the loop in advance, which saves 0.3 ms per wake. io_uring is already denied.
        loop = uvloop.new_event_loop()
        heap.release_zeros(loop)
        reporter = _Reporter(control)
        reporter.event("waiting")
        if spare:
            preload.touch(loop)
        received = channel.receive_start_request(control)
        if received is not None:
            code = _run(environment, control, reporter, loop, received)
    except _StopError:
        code = _FAILED
    except SystemExit as error:
        code = _exit_code(error)
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        log.flush()
        os._exit(code)


def _exit_code(error: SystemExit) -> int:
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    print(error.code, file=sys.stderr)
    return 1


def _run(
    environment: AppEnvironment,
    control: socket.socket,
    reporter: _Reporter,
    loop: asyncio.AbstractEventLoop,
    received: channel.Received,
) -> int:
    request = received.message
    log.redirect(received.fds[0], received.fds[1], request.get("log_tag"))
    listener = socket.socket(fileno=received.fds[2]) if request["mode"] == "serve" else None
    try:
        app_dir = environment.enter(request, listener.fileno() if listener else None)
    except BaseException as error:
        text = f"The sandbox could not be made: {type(error).__name__}: {error}"
        raise reporter.fail(Failure("FP_SANDBOX_FAILED", text)) from error
    reporter.phase("sandboxed")
    _become_fresh(request, app_dir)
    found = _load(request, app_dir, reporter, request["limits"]["start_seconds"])
    if listener is None:
        reporter.event("checked", kind=found.kind, variable=found.variable)
        return 0
    reporter.phase("imported")

    def ready() -> None:
        reporter.phase("started")
        reporter.phase("ready")

    server = environment.server(found.app, request, control, ready)
    return _serve(server, app_dir, reporter, loop, listener)


def _become_fresh(request: Message, app_dir: str) -> None:
    """Replaces what all forks have in common: environment, random state and __main__."""
    os.environ.clear()
    os.environ.update(sandbox.environment_variables(request["env"], os.path.join(sys.prefix, "bin")))
    random.seed()
    # The app's folder is read-only. The environment has the same setting for the app's child processes.
    sys.dont_write_bytecode = True
    # Otherwise __main__ is the zygote, and multiprocessing's spawn method would run it again.
    sys.modules["__main__"] = types.ModuleType("__main__")
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.path[:] = [path for path in sys.path if path and os.path.abspath(path) != own]
    log.configure_logging(app_dir)


def _load(request: Message, app_dir: str, reporter: _Reporter, seconds: float) -> loader.LoadedApp:
    def too_late(_signal: int, _frame: object) -> None:
        raise failure.StartTimeoutError(seconds)

    # First an exception is raised, because it shows where the import was. If the code catches it, the manager sends
    # SIGKILL.
    signal.signal(signal.SIGALRM, too_late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return loader.load(app_dir, request["entrypoint"])
    except loader.AppNotFoundError as error:
        raise reporter.fail(Failure("FP_APP_NOT_FOUND_IN_CODE", str(error), file=error.file)) from error
    except BaseException as error:
        late = isinstance(error, failure.StartTimeoutError)
        code: Code = "FP_APP_START_TIMEOUT" if late else "FP_APP_IMPORT_FAILED"
        raise reporter.fail(failure.from_exception(code, error, app_dir, "while it was imported")) from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        # The garbage collector was off since the zygote's start, because it slows down imports.
        gc.enable()


def _serve(
    server: serve.AppServer,
    app_dir: str,
    reporter: _Reporter,
    loop: asyncio.AbstractEventLoop,
    listener: socket.socket,
) -> int:
    error = serve.run(server, loop, listener)
    if error is None:
        return 0
    app = server.config.app
    if isinstance(error, SystemExit) and isinstance(app, RunnerApp) and app.startup_message:
        raise reporter.fail(Failure("FP_APP_STARTUP_FAILED", app.startup_message[:2000]))
    raise reporter.fail(failure.from_exception("FP_APP_STARTUP_FAILED", error, app_dir, "while it started"))
