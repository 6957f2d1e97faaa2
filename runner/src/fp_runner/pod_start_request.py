"""The start request of a pod: the app that it runs (docs/decisions/0020-the-kubernetes-home.md)."""

import json
import re
import zlib
from dataclasses import dataclass
from typing import Any, Final, Literal

from fp_runner.limits import ProcessLimits
from fp_runner.protocol import ProtocolError, is_variable, parse_limits

MAX_PACKED: Final = 2 * 1024 * 1024
_MAX_UNPACKED: Final = 8 * 1024 * 1024
# zlib's window bits for a gzip header and trailer.
_GZIP: Final = 31
# The limits on an app's assets, the same as in sdk/src/wire/assets.ts.
_MAX_ASSETS: Final = 200
_MAX_ASSET_BYTES: Final = 2 * 1024 * 1024
_MAX_ASSETS_BYTES: Final = 20 * 1024 * 1024
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class StartRequestError(Exception):
    """The bytes are not a valid start request."""


@dataclass(frozen=True)
class PodStartRequest:
    """A validated start request. The keys of `files` and `assets` are paths relative to the app's folder.

    The values of `assets` are the SHA-256 of the contents, which are sent after the start request.
    """

    mode: Literal["serve", "check"]
    files: dict[str, bytes]
    assets: dict[str, str]
    entrypoint: str
    env: dict[str, str]
    limits: ProcessLimits


def unpack(packed: bytes) -> PodStartRequest:
    """Parses a gzipped start request. Raises StartRequestError."""
    try:
        decompressor = zlib.decompressobj(_GZIP)
        text = decompressor.decompress(packed, _MAX_UNPACKED)
        if decompressor.unconsumed_tail:
            raise StartRequestError(f"the start request is larger than {_MAX_UNPACKED} bytes")
        if not decompressor.eof or decompressor.unused_data:
            raise StartRequestError("the start request is not one whole gzip stream")
        given = json.loads(text)
    except zlib.error as error:
        raise StartRequestError(f"the start request is not gzip: {error}") from error
    except (ValueError, RecursionError) as error:
        raise StartRequestError(f"the start request is not JSON: {error}") from error
    return _parse(given)


def _parse(given: Any) -> PodStartRequest:
    if not isinstance(given, dict):
        raise StartRequestError("the start request is not an object")
    mode, files, entrypoint, env = (given.get(key) for key in ("mode", "files", "entrypoint", "env"))
    if mode not in ("serve", "check"):
        raise StartRequestError("mode must be serve or check")
    if not isinstance(files, dict):
        raise StartRequestError("files must map paths to texts")
    if not isinstance(entrypoint, str) or not _is_inside(entrypoint):
        raise StartRequestError("entrypoint must be a path within the app's folder")
    if not isinstance(env, dict) or not all(is_variable(name, value) for name, value in env.items()):
        raise StartRequestError("env must map names to texts")
    contents = {path: _bytes(path, text) for path, text in files.items()}
    assets = _assets(given.get("assets", []))
    if twice := contents.keys() & assets.keys():
        raise StartRequestError(f"{min(twice)!r} is a file and an asset")
    try:
        limits = parse_limits(ProcessLimits, given.get("limits"))
    except ProtocolError as error:
        raise StartRequestError(str(error)) from error
    return PodStartRequest(mode, contents, assets, entrypoint, env, limits)


def _assets(given: object) -> dict[str, str]:
    if not isinstance(given, list) or not all(isinstance(asset, dict) for asset in given):
        raise StartRequestError("assets must be a list of objects")
    if len(given) > _MAX_ASSETS:
        raise StartRequestError(f"there are more than {_MAX_ASSETS} assets")
    found: dict[str, str] = {}
    total = 0
    for asset in given:
        path, size, sha256 = asset.get("path"), asset.get("bytes"), asset.get("sha256")
        if not isinstance(path, str) or not _is_inside(path) or path in found:
            raise StartRequestError(f"the asset {path!r} needs a path within the app's folder that no other asset has")
        if type(size) is not int or not 0 <= size <= _MAX_ASSET_BYTES:
            raise StartRequestError(f"the asset {path!r} must have at most {_MAX_ASSET_BYTES} bytes")
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            raise StartRequestError(f"the asset {path!r} must have a SHA-256 in lower case hex")
        found[path] = sha256
        total += size
    if total > _MAX_ASSETS_BYTES:
        raise StartRequestError(f"the assets have more than {_MAX_ASSETS_BYTES} bytes")
    return found


def _bytes(path: str, text: object) -> bytes:
    if not isinstance(text, str):
        raise StartRequestError(f"the file {path!r} must be a text")
    if not _is_inside(path):
        raise StartRequestError(f"the file {path!r} is not within the app's folder")
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise StartRequestError(f"the file {path!r} cannot be written as UTF-8") from error


def _is_inside(path: str) -> bool:
    return "\0" not in path and not any(part in ("", ".", "..") for part in path.split("/"))
