"""Advice for a NameError: the name may have come from a library's `import *` in an earlier version."""

import importlib
import sys
from types import TracebackType
from typing import Final

# For each library: modules that define names which its `import *` no longer exports.
_ELSEWHERE: Final = {"fasthtml": ("fasthtml.pico", "fasthtml.svg", "fasthtml.oauth")}


def advice(error: BaseException | None, trace: TracebackType | None) -> str:
    """One sentence, or "". sdk/src/python/star-names.ts gives the same advice before a deploy, if it can detect the
    problem."""
    if not isinstance(error, NameError) or isinstance(error, UnboundLocalError) or not error.name:
        return ""
    name = error.name
    for library in sorted(_libraries(trace)):
        for module in _ELSEWHERE.get(library, ()):
            if name in getattr(_imported(module), "__all__", ()):
                return f"{name} is in {module}: write `from {module} import *`."
    return f"{name} is a module of Python: write `import {name}`." if name in sys.stdlib_module_names else ""


def _libraries(trace: TracebackType | None) -> set[str]:
    """The packages that define the values in the failed module's namespace."""
    last = trace
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None:
        return set()
    values = list(last.tb_frame.f_globals.values())
    return {str(getattr(value, "__module__", "")).partition(".")[0] for value in values}


def _imported(module: str) -> object:
    try:
        return importlib.import_module(module)
    except Exception:
        return None
