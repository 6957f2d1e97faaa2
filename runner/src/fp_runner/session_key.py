"""Takes FastHTML's session key from FP_SESSION_KEY, so that sessions survive a sleep.

FastHTML would write a key file into the app's folder, which is read-only. Without FP_SESSION_KEY each start has a new
key.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Final

_MODULE: Final = "fasthtml.core"


def install() -> None:
    """Patches FastHTML now if it is already imported, otherwise as soon as it is imported."""
    if module := sys.modules.get(_MODULE):
        _patch(module)
    else:
        sys.meta_path.insert(0, _Finder())


def _get_key(key: str | None = None, fname: str = ".sesskey") -> str:
    if key:
        return key
    if os.path.isfile(fname):
        with open(fname, encoding="utf-8") as file:
            return file.read()
    return os.environ.get("FP_SESSION_KEY") or os.urandom(32).hex()


def _patch(module: ModuleType) -> None:
    module.get_key = _get_key  # type: ignore[attr-defined]


class _Finder(importlib.abc.MetaPathFinder):
    """Finds FastHTML's module as the usual finders do, and patches it after its execution."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != _MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec and spec.loader:
            loader, run = spec.loader, spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                run(module)
                _patch(module)

            loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
