"""Parses an entrypoint in uvicorn's notation (sdk/src/python/entrypoint.ts writes and documents it)."""

import os
import re
from dataclasses import dataclass
from typing import Final

# For example `main:app`, `src/shop.main:create_app()` or `app/main.py`: a folder to import from, a module or file, and
# a variable.
_FORM: Final = re.compile(
    r"(?:(?P<path>[^:]+\.py)|(?:(?P<root>[^:]+)/)?(?P<module>[^\s:/.]+(?:\.[^\s:/.]+)*))"
    r"(?::(?P<variable>[^\W\d]\w*(?:\.[^\W\d]\w*)*)(?P<factory>\(\))?)?"
)


class EntrypointError(Exception):
    """The text is not a valid entrypoint of the app."""


@dataclass(frozen=True)
class Entrypoint:
    """`file` is the file that runs, relative to the app's folder. `module` is None if the entrypoint is a file's
    path."""

    text: str
    root: str
    module: str | None
    file: str
    variable: str | None
    factory: bool


def parse(app_dir: str, text: str) -> Entrypoint:
    """Parses an entrypoint. Raises EntrypointError if it is invalid or its file does not exist."""
    match = _FORM.fullmatch(text)
    if match is None or any(part in ("", ".", "..") for part in text.partition(":")[0].split("/")):
        raise EntrypointError(
            f"The entrypoint {text} does not name a module of the app. Write main:app or src/main:create_app()."
        )
    path, root, module = match["path"], match["root"] or "", match["module"]
    file = path or _file_of(app_dir, root, module)
    if not os.path.isfile(os.path.join(app_dir, file)):
        raise EntrypointError(
            f"The entrypoint {text} names the file {file}, which does not exist. Add it or change the entrypoint."
        )
    return Entrypoint(text, root, module, file, match["variable"], match["factory"] is not None)


def _file_of(app_dir: str, root: str, module: str) -> str:
    path = os.path.join(root, *module.split("."))
    package = os.path.join(path, "__init__.py")
    return package if os.path.isfile(os.path.join(app_dir, package)) else f"{path}.py"
