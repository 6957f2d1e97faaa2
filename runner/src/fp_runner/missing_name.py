"""What to write where a name is not defined that a library's `import *` brought in an earlier version."""

import importlib
import sys
from types import TracebackType
from typing import Final

# By the library that an app takes other names from: where else its names are.
_ELSEWHERE: Final = {"fasthtml": ("fasthtml.pico", "fasthtml.svg", "fasthtml.oauth")}


def advice(error: BaseException | None, trace: TracebackType | None) -> str:
    """One sentence, or nothing. sdk/src/python/star-names.ts says the same before a deploy, where it can tell."""
    if not isinstance(error, NameError) or isinstance(error, UnboundLocalError) or not error.name:
        return ""
    name = error.name
    for library in sorted(_libraries(trace)):
        for module in _ELSEWHERE.get(library, ()):
            if name in getattr(_imported(module), "__all__", ()):
                return f"{name} is in {module}: write `from {module} import *`."
    return f"{name} is a module of Python: write `import {name}`." if name in sys.stdlib_module_names else ""


def _libraries(trace: TracebackType | None) -> set[str]:
    """The packages from which the module that failed took its names."""
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
