"""The app's log: stdout, stderr and the server's errors, written to the given files."""

import io
import logging
import os
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Final

from fp_runner import failure

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


# The first byte of a line's mark (platform/src/runtime/local/log-format.ts). Replaced in what the app prints.
_MARK: Final = b"\x1e"
_MARK_REPLACED: Final = b"\\x1e"
# How many bytes are marked at a time, because marks greatly enlarge a text of empty lines.
_PIECE: Final = 64 * 1024


class _LogFile(io.FileIO):
    """A file whose writes never raise: a full log (RLIMIT_FSIZE, disk) must not turn print() into an error."""

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(memoryview(data).cast("B"))


class _Marks:
    """State that the streams of a process share, because they write to one file."""

    def __init__(self, tag: str) -> None:
        self.end = f" {tag} ".encode()
        self.unfinished: _MarkedLogFile | None = None


class _MarkedLogFile(_LogFile):
    """Prefixes each line with its stream, time and tag, so that one file can hold the lines of all instances."""

    def __init__(self, fd: int, stream: bytes, marks: _Marks) -> None:
        super().__init__(fd, "w", closefd=False)
        self._begin = _MARK + stream
        self._marks = marks

    def write(self, data: "ReadableBuffer", /) -> int:
        whole = bytes(data)
        if len(whole) <= _PIECE:
            super().write(self._marked(whole))
        else:
            for begin in range(0, len(whole), _PIECE):
                super().write(self._marked(whole[begin : begin + _PIECE]))
        return len(whole)

    def _marked(self, text: bytes) -> bytes:
        if _MARK in text:
            text = text.replace(_MARK, _MARK_REPLACED)
        marks = self._marks
        mark = self._begin + b"%d" % (time.time() * 1000) + marks.end
        unfinished = marks.unfinished
        marks.unfinished = None if text.endswith(b"\n") else self
        lines = text[:-1].replace(b"\n", b"\n" + mark) + text[-1:]
        if unfinished is self:
            return lines
        # A line of another stream is unfinished, so it is ended first.
        return (b"\n" if unfinished else b"") + mark + lines


class _Formatter(logging.Formatter):
    def __init__(self, app_dir: str) -> None:
        super().__init__("%(levelname)s: %(message)s")
        self._app_dir = app_dir

    def formatException(self, ei: _ExcInfo) -> str:  # noqa: N802 (logging's name)
        kind, error, trace = ei
        if kind is None or error is None:
            return ""
        return failure.format_exception(kind, error, trace, self._app_dir).rstrip("\n")


_STREAMS: Final = ((1, "stdout", b"o"), (2, "stderr", b"e"))


def redirect(stdout_fd: int, stderr_fd: int, tag: str | None) -> None:
    """Makes the log this process's stdout and stderr, and /dev/null its stdin. Closes the given descriptors.

    Lines are marked if there is a tag. In a pod there is none, because the container runtime records each line's time.
    """
    marks = None if tag is None else _Marks(tag)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    for (fd, name, letter), log_fd in zip(_STREAMS, (stdout_fd, stderr_fd), strict=True):
        os.dup2(log_fd, fd)
        os.close(log_fd)
        raw = _LogFile(fd, "w", closefd=False) if marks is None else _MarkedLogFile(fd, letter, marks)
        stream = io.TextIOWrapper(
            io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # type: ignore[misc]  # noqa: SIM115


def configure_logging(app_dir: str) -> None:
    """Sends uvicorn's warnings and errors to the log, with tracebacks written for the app's owner."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(app_dir))
    logger = prepare_logging()
    logger.handlers = [handler]


def prepare_logging() -> logging.Logger:
    """The part that is the same for every app. It changes every existing logger, so the zygote does it in advance."""
    logger = logging.getLogger("uvicorn")
    if logger.level != logging.WARNING:
        logger.setLevel(logging.WARNING)
        logger.propagate = False
    return logger


def flush() -> None:
    """Must be called before os._exit, which flushes nothing."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue
