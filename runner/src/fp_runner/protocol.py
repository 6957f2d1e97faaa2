"""The protocol between the platform and the manager: one JSON object per line in both directions (see README.md)."""

import json
import os
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, TypeVar

from fp_runner.limits import Limits, ProcessLimits

Message = dict[str, Any]
_L = TypeVar("_L", bound=ProcessLimits)
# The only limits that may be fractions.
_FRACTIONS: Final = ("start_seconds", "cpus")
_MAX_LINE = 1024 * 1024


class ProtocolError(Exception):
    """An invalid message. `id` is the instance that it names, if any."""

    def __init__(self, text: str, instance_id: str | None = None) -> None:
        super().__init__(text)
        self.id = instance_id


@dataclass(frozen=True)
class StartRequest:
    """A validated "start" message."""

    id: str
    mode: Literal["serve", "check"]
    socket: str | None
    app_dir: str
    # The block device of the app's own file system, or None.
    storage: str | None
    entrypoint: str
    env: dict[str, str]
    log: str
    # The tag in the mark of each log line. It contains no spaces.
    log_tag: str
    uid: int
    gid: int
    # Identifies the app's owner; any text. A user's apps together get one user's share of the CPU.
    user: str
    limits: Limits


def parse_start(message: Message) -> StartRequest:
    """Validates a "start" message. Raises ProtocolError with the instance's id."""
    instance_id = message.get("id")
    if not isinstance(instance_id, str) or not instance_id:
        raise ProtocolError("start needs an id")

    def text(key: str, *, absolute: bool = False) -> str:
        value = message.get(key)
        if not isinstance(value, str) or not value or "\0" in value:
            raise ProtocolError(f"start needs {key}, a text", instance_id)
        if absolute and not os.path.isabs(value):
            raise ProtocolError(f"{key} must be an absolute path", instance_id)
        return value

    def word(key: str) -> str:
        value = text(key)
        if not value.isprintable() or " " in value:
            raise ProtocolError(f"start needs {key}, a text without spaces", instance_id)
        return value

    def number(key: str) -> int:
        value = message.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
            raise ProtocolError(f"start needs {key}, a positive number", instance_id)
        return value

    mode = message.get("mode", "serve")
    if mode not in ("serve", "check"):
        raise ProtocolError("mode must be serve or check", instance_id)
    env = message.get("env", {})
    if not isinstance(env, dict) or not all(is_variable(k, v) for k, v in env.items()):
        raise ProtocolError("env must map names to texts", instance_id)
    return StartRequest(
        id=instance_id,
        mode=mode,
        socket=text("socket", absolute=True) if mode == "serve" else None,
        app_dir=text("app_dir", absolute=True),
        storage=text("storage", absolute=True) if message.get("storage") is not None else None,
        entrypoint=text("entrypoint"),
        env=env,
        log=text("log", absolute=True),
        log_tag=word("log_tag"),
        uid=number("uid"),
        gid=number("gid"),
        user=text("user"),
        limits=parse_limits(Limits, message.get("limits"), instance_id),
    )


def is_variable(name: object, value: object) -> bool:
    """Whether name and value can be an environment variable."""
    if not isinstance(name, str) or not isinstance(value, str):
        return False
    return bool(name) and "=" not in name and "\0" not in name + value


def parse_limits(kind: type[_L], given: object, instance_id: str | None = None) -> _L:
    """Validates limits. All must be given, except `cpus`; unknown ones are ignored. Raises ProtocolError."""
    if not isinstance(given, dict):
        raise ProtocolError("limits must be an object", instance_id)
    chosen: dict[str, Any] = {}
    for key in (field.name for field in fields(kind)):
        value = given.get(key)
        if value is None and key == "cpus":
            chosen[key] = None
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise ProtocolError(f"limits.{key} must be a positive number", instance_id)
        chosen[key] = value if key in _FRACTIONS else int(value)
    return kind(**chosen)


def encode(message: Message) -> bytes:
    """Encodes a message as one line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


class LineReader:
    """Splits a byte stream into messages."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Message | ProtocolError]:
        """Returns the messages that `data` completes. An invalid line is returned as a ProtocolError."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _MAX_LINE:
            self._rest = b""
            return [ProtocolError("a line is longer than 1 MiB")]
        return [_decode(line) for line in lines if line.strip()]


def _decode(line: bytes) -> Message | ProtocolError:
    try:
        message = json.loads(line)
    except ValueError as error:
        return ProtocolError(f"not JSON: {error}")
    if not isinstance(message, dict):
        return ProtocolError("not an object")
    return message
