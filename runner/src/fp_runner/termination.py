"""The container's termination message, which kubelet copies into the pod's status."""

import json
import os
from typing import Any, Final

from fp_runner.failure import Failure

# Kubelet's limit, at which it would cut off the JSON.
_MAX_BYTES: Final = 4096


def write(path: str, message: dict[str, Any]) -> None:
    """Writes the message. Does nothing outside Kubernetes, where the file does not exist."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    except OSError:
        return
    with open(fd, "wb", buffering=0) as file:
        file.write(_encode(message))


def fit(failure: Failure) -> dict[str, Any]:
    """Shortens a failure until it fits: first in the middle of its traceback, then at the end of its message."""
    wire = failure.wire()
    for key, cut in (("traceback", _middle_out), ("message", _end_off)):
        if len(_encode(wire)) > _MAX_BYTES:
            wire[key] = _longest(wire, key, cut)
    return wire


def _encode(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def _longest(wire: dict[str, Any], key: str, cut: Any) -> str:
    """Finds the longest text that fits by bisection, because a character takes one to six bytes in JSON."""
    fits, too_long = 0, len(wire[key])
    while too_long - fits > 1:
        length = (fits + too_long) // 2
        if len(_encode(wire | {key: cut(wire[key], length)})) <= _MAX_BYTES:
            fits = length
        else:
            too_long = length
    return str(cut(wire[key], fits))


def _middle_out(text: str, length: int) -> str:
    # The end has the exception itself.
    head = length // 3
    return f"{text[:head]}\n… cut …\n{text[len(text) - (length - head) :]}" if length else ""


def _end_off(text: str, length: int) -> str:
    return text[:length] + "…"
