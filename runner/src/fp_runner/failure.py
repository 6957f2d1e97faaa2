"""Describes exceptions for the app's owner: paths relative to the app, without the runner's own frames."""

import linecache
import os
import sys
import sysconfig
import traceback
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Final, Literal, get_args

from fp_runner import missing_name

StartCode = Literal[
    "FP_APP_IMPORT_FAILED",
    "FP_APP_NOT_FOUND_IN_CODE",
    "FP_APP_STARTUP_FAILED",
    "FP_APP_START_TIMEOUT",
    "FP_SANDBOX_FAILED",
]
# In a pod, an app's end is reported as a failure too. The manager reports an end as "exited".
EndCode = Literal["FP_APP_CRASHED", "FP_APP_OUT_OF_MEMORY"]
Code = StartCode | EndCode

_RUNNER: Final = os.path.dirname(os.path.abspath(__file__)) + "/"
_LIBRARIES: Final = tuple(
    path + "/" for path in dict.fromkeys(sysconfig.get_paths()[key] for key in ("purelib", "platlib"))
)
_STANDARD: Final = sysconfig.get_paths()["stdlib"] + "/"
_SERVER: Final = tuple(f"{path}uvicorn/" for path in _LIBRARIES)
# A character takes up to six bytes in JSON. All texts must fit into one message of channel.py.
_MAX_TRACEBACK: Final = 16_000
_MAX_MESSAGE: Final = 2_000
_MAX_PATH: Final = 4_096


@dataclass(frozen=True)
class Failure:
    """Why an app did not start or has ended."""

    code: Code
    message: str
    traceback: str = ""
    file: str | None = None
    line: int | None = None

    @classmethod
    def from_wire(cls, given: object) -> "Failure | None":
        """Validates a failure from a child, where user code may have written it. Returns None if it is invalid."""
        if not isinstance(given, dict):
            return None
        line, file = given.get("line"), given.get("file")
        code = next((known for known in get_args(StartCode) if known == given.get("code")), None)
        if code is None:
            return None
        return cls(
            code,
            message=str(given.get("message", ""))[:_MAX_MESSAGE],
            traceback=_cut([str(given.get("traceback", ""))]),
            file=file[:_MAX_PATH] if isinstance(file, str) else None,
            line=line if isinstance(line, int) else None,
        )

    def wire(self) -> dict[str, Any]:
        """The failure as it is sent to the platform."""
        return asdict(self)


class StartTimeoutError(BaseException):
    """Raised in the app's main thread if its import takes too long. A BaseException, because user code catches
    Exception."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"not imported within {seconds:g} s")
        self.seconds = seconds


def relative(path: str, app_dir: str) -> str:
    """Shortens a path relative to the app, the libraries or Python."""
    for prefix in (app_dir + "/", *_LIBRARIES, _STANDARD):
        if path.startswith(prefix):
            return path[len(prefix) :]
    return path


def _is_hidden(path: str) -> bool:
    return path.startswith((_RUNNER, *_SERVER, "<frozen ", _STANDARD + "importlib/"))


def trim(error: traceback.TracebackException, app_dir: str) -> None:
    """Removes runner, server and import frames from a traceback and its causes, and shortens the paths, in place."""
    seen: set[int] = set()
    todo: list[traceback.TracebackException | None] = [error]
    while todo:
        current = todo.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        frames = [_shortened(frame, app_dir) for frame in current.stack if not _is_hidden(frame.filename)]
        current.stack = traceback.StackSummary.from_list(frames)
        filename = getattr(current, "filename", None)
        if filename is not None:
            current.filename = relative(filename, app_dir)
        todo += [current.__cause__, current.__context__, *(current.exceptions or ())]


def _shortened(frame: traceback.FrameSummary, app_dir: str) -> traceback.FrameSummary:
    # The line must be read before the path changes, because linecache finds it by its path. It needs its indentation,
    # because the columns of the carets include it, and the attribute `line` has none.
    return traceback.FrameSummary(
        relative(frame.filename, app_dir),
        frame.lineno,
        frame.name,
        lookup_line=False,
        line=linecache.getline(frame.filename, frame.lineno) if frame.lineno else frame.line,
        end_lineno=frame.end_lineno,
        colno=frame.colno,
        end_colno=frame.end_colno,
    )


def format_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None, app_dir: str) -> str:
    """Formats a traceback for the app's owner."""
    captured = traceback.TracebackException(kind, error, trace, compact=True)
    trim(captured, app_dir)
    hint = missing_name.advice(error, trace)
    return _cut([*captured.format(), f"{hint}\n" if hint else ""])


def _cut(parts: Iterable[str]) -> str:
    text = "".join(parts)
    if len(text) <= _MAX_TRACEBACK:
        return text
    half = _MAX_TRACEBACK // 2
    return f"{text[:half]}\n… cut …\n{text[-half:]}"


def where(error: BaseException, app_dir: str) -> tuple[str | None, int | None]:
    """(file, line) of the deepest frame in the app's own code, or of a syntax error."""
    if isinstance(error, SyntaxError) and error.filename and error.filename.startswith(app_dir + "/"):
        return relative(error.filename, app_dir), error.lineno
    place: tuple[str | None, int | None] = (None, None)
    for frame, line in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename.startswith(app_dir + "/"):
            place = relative(frame.f_code.co_filename, app_dir), line
    return place


def describe(error: BaseException) -> str:
    """`KeyError: 'x'`, on one line."""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg}"
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = "(its text cannot be shown)"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def from_exception(code: Code, error: BaseException, app_dir: str, doing: str) -> Failure:
    """Creates the failure for an exception of the user's code. `doing` is a text such as "while it started"."""
    file, line = where(error, app_dir)
    place = f" in {file} line {line}" if file else ""
    if isinstance(error, StartTimeoutError):
        message = (
            f"Your app was not imported within {error.seconds:g} s; it was still busy{place or ' elsewhere'}. "
            "Move loops and waits from the top of a file into a function or into lifespan startup."
        )
    elif isinstance(error, SystemExit):
        message = f"Your app ended itself with exit code {error.code!r} {doing}{place}."
    else:
        hint = missing_name.advice(error, error.__traceback__)
        message = f"Your app raised {describe(error)}{place}" + (f". {hint}" if hint else "")
    linecache.checkcache()
    shown = format_exception(type(error), error, error.__traceback__, app_dir)
    return Failure(code, message[:_MAX_MESSAGE], shown, file, line)


def too_slow(seconds: float) -> str:
    """The message for an app that is not ready in time."""
    return f"Your app was not ready after {seconds:g} seconds. Move slow work out of imports and lifespan startup."


def print_failure(failure: Failure) -> None:
    """Also prints a failure into the app's log, where its owner looks."""
    print(failure.traceback.rstrip() or failure.message, file=sys.stderr, flush=True)
