"""The order: the document that tells a pod which app it is (docs/decisions/0020-the-kubernetes-home.md)."""

import json
import os
import stat
import zlib
from dataclasses import dataclass
from typing import Any, Final, Literal

from fp_runner.limits import Limits
from fp_runner.protocol import ProtocolError, is_variable, parse_limits

MAX_PACKED: Final = 2 * 1024 * 1024
_MAX_UNPACKED: Final = 8 * 1024 * 1024
# zlib's window bits for a gzip header and trailer.
_GZIP: Final = 31


class OrderError(Exception):
    """What was sent is no order."""


@dataclass(frozen=True)
class Order:
    """A checked order. `files` by their path relative to the app's folder."""

    mode: Literal["serve", "check"]
    files: dict[str, bytes]
    entrypoint: str
    env: dict[str, str]
    limits: Limits


def unpack(packed: bytes) -> Order:
    """Reads a gzipped order. Raises OrderError."""
    try:
        decompressor = zlib.decompressobj(_GZIP)
        text = decompressor.decompress(packed, _MAX_UNPACKED)
        if decompressor.unconsumed_tail:
            raise OrderError(f"the order is larger than {_MAX_UNPACKED} bytes")
        if not decompressor.eof or decompressor.unused_data:
            raise OrderError("the order is not one whole gzip stream")
        given = json.loads(text)
    except zlib.error as error:
        raise OrderError(f"the order is not gzip: {error}") from error
    except (ValueError, RecursionError) as error:
        raise OrderError(f"the order is not JSON: {error}") from error
    return _parse(given)


def _parse(given: Any) -> Order:
    if not isinstance(given, dict):
        raise OrderError("the order is not an object")
    mode, files, entrypoint, env = (given.get(key) for key in ("mode", "files", "entrypoint", "env"))
    if mode not in ("serve", "check"):
        raise OrderError("mode must be serve or check")
    if not isinstance(files, dict):
        raise OrderError("files must map paths to texts")
    if not isinstance(entrypoint, str) or not _is_inside(entrypoint):
        raise OrderError("entrypoint must be a path within the app's folder")
    if not isinstance(env, dict) or not all(is_variable(name, value) for name, value in env.items()):
        raise OrderError("env must map names to texts")
    try:
        limits = parse_limits(given.get("limits", {}))
    except ProtocolError as error:
        raise OrderError(str(error)) from error
    return Order(mode, {path: _bytes(path, text) for path, text in files.items()}, entrypoint, env, limits)


def _bytes(path: str, text: object) -> bytes:
    if not isinstance(text, str):
        raise OrderError(f"the file {path!r} is no text")
    if not _is_inside(path):
        raise OrderError(f"the file {path!r} is not within the app's folder")
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise OrderError(f"the file {path!r} cannot be written as UTF-8") from error


def _is_inside(path: str) -> bool:
    return "\0" not in path and not any(part in ("", ".", "..") for part in path.split("/"))


def write_files(files: dict[str, bytes], folder: str) -> None:
    """Makes `folder` hold these files and no others, none of them writable. Raises OSError."""
    _empty(folder)
    folders: set[str] = set()
    for path, content in files.items():
        target = f"{folder}/{path}"
        parent = os.path.dirname(target)
        if parent not in folders:
            os.makedirs(parent, 0o755, exist_ok=True)
            while parent != folder:
                folders.add(parent)
                parent = os.path.dirname(parent)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(target, flags, 0o644), "wb", buffering=0) as file:
            file.write(content)
            # Not by the mode above, which the umask would change.
            os.fchmod(file.fileno(), 0o444)
    for made in folders:
        os.chmod(made, 0o555)  # noqa: S103


def _empty(folder: str) -> None:
    """A container that is started again in its pod finds what the one before it left."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                os.chmod(entry.path, stat.S_IRWXU)
                _empty(entry.path)
                os.rmdir(entry.path)
            else:
                os.unlink(entry.path)
