"""The small part of DNS messages (RFC 1035) that is needed to forward questions, answer some directly and read
addresses."""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

A: Final = 1
AAAA: Final = 28
NO_ERROR: Final = 0
SERVER_FAILURE: Final = 2
NO_SUCH_NAME: Final = 3

_HEADER: Final = struct.Struct("!6H")
_RECORD: Final = struct.Struct("!HHIH")
_RESPONSE, _OPCODE, _RECURSION_DESIRED, _RECURSION_AVAILABLE = 0x8000, 0x7800, 0x0100, 0x0080
_INTERNET: Final = 1
_POINTER: Final = 0xC0
_MAX_RECORDS: Final = 64


@dataclass(frozen=True)
class Question:
    """The question of a query. `end` is where its bytes end in the message."""

    number: int
    name: str
    kind: int
    end: int


def question(data: bytes) -> Question | None:
    """Returns the question of a query; None if the message is not an ordinary query with one question."""
    if len(data) < _HEADER.size:
        return None
    number, flags, questions, answers, _, _ = _HEADER.unpack_from(data)
    if flags & (_RESPONSE | _OPCODE) or questions != 1 or answers:
        return None
    return _question(data, number)


def with_number(data: bytes, number: int) -> bytes:
    """Returns the message with another id."""
    return struct.pack("!H", number) + data[2:]


def answers(data: bytes, asked: Question, number: int) -> bool:
    """Whether `data` is a response to `asked`, sent with the id `number`."""
    if len(data) < _HEADER.size or struct.unpack_from("!HH", data)[0] != number:
        return False
    if not data[2] & 0x80 or data[4:6] != b"\0\1":
        return False
    found = _question(data, number)
    return found is not None and (found.name, found.kind) == (asked.name, asked.kind)


def reply(query: bytes, asked: Question, code: int) -> bytes:
    """A response without records."""
    flags = _RESPONSE | _RECURSION_AVAILABLE | (struct.unpack_from("!H", query, 2)[0] & _RECURSION_DESIRED) | code
    return _HEADER.pack(asked.number, flags, 1, 0, 0, 0) + query[_HEADER.size : asked.end]


def addresses(data: bytes, asked: Question) -> list[IPv4Address]:
    """The IPv4 addresses among the answers, up to the first record that cannot be parsed."""
    found: list[IPv4Address] = []
    at = asked.end
    count = struct.unpack_from("!H", data, 6)[0]
    for _ in range(min(count, _MAX_RECORDS)):
        after = _after_name(data, at)
        if after is None or after + _RECORD.size > len(data):
            break
        kind, group, _, length = _RECORD.unpack_from(data, after)
        at = after + _RECORD.size + length
        if (kind, group, length) == (A, _INTERNET, 4) and at <= len(data):
            found.append(IPv4Address(data[at - 4 : at]))
    return found


def _question(data: bytes, number: int) -> Question | None:
    labels: list[str] = []
    at = _HEADER.size
    while at < len(data) and data[at]:
        length = data[at]
        # A compressed name is not possible here, because the first name of a message has no earlier name to point to.
        if length > 63 or len(labels) > 127:
            return None
        label = data[at + 1 : at + 1 + length]
        # With a dot inside a label another name could look like an allowed one.
        if b"." in label:
            return None
        labels.append(label.decode("ascii", "replace").lower())
        at += 1 + length
    if at + 5 > len(data):
        return None
    return Question(number, ".".join(labels), struct.unpack_from("!H", data, at + 1)[0], at + 5)


def _after_name(data: bytes, at: int) -> int | None:
    while at < len(data):
        length = data[at]
        if length & _POINTER == _POINTER:
            return at + 2
        if length == 0:
            return at + 1
        at += 1 + length
    return None
