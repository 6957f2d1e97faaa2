"""The app's log: stdout, stderr and the server's errors, in the files that it was handed."""

import io
import logging
import os
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Final

from fp_runner import failure

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class _LogFile(io.FileIO):
    """A file whose writes never raise: a full log (RLIMIT_FSIZE, disk) must not turn print() into an error."""

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(memoryview(data).cast("B"))


class _Formatter(logging.Formatter):
    def __init__(self, app_dir: str) -> None:
        super().__init__("%(levelname)s: %(message)s")
        self._app_dir = app_dir

    def formatException(self, ei: _ExcInfo) -> str:  # noqa: N802 (logging's name)
        kind, error, trace = ei
        if kind is None or error is None:
            return ""
        return failure.format_exception(kind, error, trace, self._app_dir).rstrip("\n")


_STREAMS: Final = ((1, "stdout"), (2, "stderr"))


def redirect(stdout_fd: int, stderr_fd: int) -> None:
    """Makes the log (and closes what it was given) this process's stdout and stderr, and /dev/null its stdin."""
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    for (fd, name), log_fd in zip(_STREAMS, (stdout_fd, stderr_fd), strict=True):
        os.dup2(log_fd, fd)
        os.close(log_fd)
        raw = _LogFile(fd, "w", closefd=False)
        stream = io.TextIOWrapper(
            io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # type: ignore[misc]  # noqa: SIM115


def configure_logging(app_dir: str) -> None:
    """Sends uvicorn's warnings and errors to the log, with tracebacks as the owner should read them."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(app_dir))
    logger = prepare_logging()
    logger.handlers = [handler]


def prepare_logging() -> logging.Logger:
    """The part that is the same for every app. It writes to every logger there is, so the zygote does it ahead."""
    logger = logging.getLogger("uvicorn")
    if logger.level != logging.WARNING:
        logger.setLevel(logging.WARNING)
        logger.propagate = False
    return logger


def flush() -> None:
    """Before os._exit, which flushes nothing."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue
