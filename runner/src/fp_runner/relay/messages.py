"""Reads as much of what an app sends to MongoDB as it takes to refuse what would harm other apps."""

import struct
from typing import Final

from fp_runner.relay.bounds import Bounds
from fp_runner.relay.refusal import HEADER, OP_MSG, OP_QUERY

# MongoDB's own limit.
_MAX_MESSAGE: Final = 48_000_000
# Messages of those who may not have logged in yet. MongoDB writes parts of them into its log.
_MAX_GREETING: Final = 4_096
# Names of the fields of commands. The longest of MongoDB's own has some 40 characters.
_MAX_NAME: Final = 128
# `{id: UUID}` has 30 bytes. Sessions within a session have two more fields.
_MAX_LSID: Final = 128
# What a session takes in the list of an `endSessions`, at least.
_SESSION_BYTES: Final = 32
# What a command that makes an index has for it, about: less where it makes many, more where it makes one.
_INDEX_BYTES: Final = 64

_GREETINGS: Final = frozenset([b"hello", b"isMaster", b"ismaster"])
_SMALL: Final = _GREETINGS | {b"saslStart", b"saslContinue", b"authenticate", b"logout"}
# No driver sends these: sessions begin with the first command that names them.
_FORBIDDEN: Final = frozenset([b"refreshSessions", b"startSession"])

_MAKES_FILES: Final = frozenset([b"create", b"createIndexes"])

_INT: Final = struct.Struct("<i")
# Header, flags, kind of section, length of the document.
_MSG_HEAD: Final = struct.Struct("<iiiiIBi")
# Sizes of BSON's values: fixed ones, and what is to be added to a length that comes first. Those that stand in no
# command (regular expressions, DBPointers) are missing.
_FIXED: Final = {1: 8, 6: 0, 7: 12, 8: 1, 9: 8, 10: 0, 16: 4, 17: 8, 18: 8, 19: 16, 127: 0, 255: 0}
_WITH_LENGTH: Final = {2: 4, 3: 0, 4: 0, 5: 5, 13: 4, 14: 4, 15: 0}
_DOCUMENT: Final = 3

_MALFORMED: Final = "This is no command that a MongoDB driver sends."


class RefusalError(Exception):
    """A message that is not passed on; the connection ends with it."""

    def __init__(self, reason: str, request_id: int, op_code: int) -> None:
        self.reason, self.request_id, self.op_code = reason, request_id, op_code


class Messages:
    """The messages of one connection. Bytes are passed on as they come; only names and sizes of the fields of a command
    and the session's id are looked at, so no message is kept."""

    __slots__ = (
        "_body_end",
        "_bounds",
        "_command",
        "_length",
        "_message_end",
        "_op_code",
        "_request_id",
        "_rest",
        "_skip",
    )

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        # The beginning of a message or a field, which goes on with the next bytes.
        self._rest = b""
        # How many of the next bytes are of no interest.
        self._skip = 0
        # Counted from the next byte; 0 outside a message, and behind its command.
        self._message_end = self._body_end = 0
        self._length = self._request_id = self._op_code = 0
        self._command = b""

    def read(self, data: bytes | bytearray, end: int) -> None:
        """Looks at the bytes up to `end`, which come next. Raises RefusalError."""
        if self._skip >= end:
            self._skip -= end
            self._move(end)
            return
        if self._rest:
            data = self._rest + data[:end]
            end = len(data)
            self._rest = b""
        at = self._skip
        while at < end:
            following = self._field(data, at, end) if self._body_end else self._head(data, at, end)
            if following < 0:
                # Not whole yet.
                self._rest = bytes(data[at:end])
                self._skip = 0
                self._move(at)
                return
            at = following
        self._skip = at - end
        self._move(end)

    def _move(self, by: int) -> None:
        if self._body_end:
            self._body_end -= by
            self._message_end -= by

    def _refuse(self, reason: str = _MALFORMED) -> RefusalError:
        return RefusalError(reason, self._request_id, self._op_code)

    def _head(self, data: bytes | bytearray, at: int, end: int) -> int:
        """The beginning of a message. Returns where its first field is, or -1."""
        if end - at < _MSG_HEAD.size:
            return -1
        self._length, self._request_id, _, self._op_code, _, kind, size = _MSG_HEAD.unpack_from(data, at)
        begin = at + _MSG_HEAD.size
        if self._op_code == OP_QUERY:
            # Flags, a name that ends with a zero, two numbers, the document.
            name_end = data.find(0, at + HEADER.size + 4, min(end, at + HEADER.size + 4 + _MAX_NAME))
            if name_end < 0 and end - at > HEADER.size + 4 + _MAX_NAME:
                raise self._refuse()
            begin = name_end + 1 + 8 + 4
            if name_end < 0 or begin > end:
                return -1
            (size,) = _INT.unpack_from(data, begin - 4)
        elif self._op_code != OP_MSG or kind != 0:
            raise self._refuse()
        self._message_end = at + self._length
        self._body_end = begin - 4 + size
        if self._length > _MAX_MESSAGE or size < 5 or self._body_end > self._message_end:
            raise self._refuse()
        self._command = b""
        return begin

    def _field(self, data: bytes | bytearray, at: int, end: int) -> int:
        """One field of the command. Returns where the next one is, or the next message, or -1."""
        kind = data[at]
        if kind == 0:
            if at + 1 != self._body_end or not self._command:
                raise self._refuse()
            self._body_end = 0
            # What follows are more documents of the same command.
            return self._message_end
        name_end = data.find(0, at + 1, min(end, at + 1 + _MAX_NAME))
        if name_end < 0:
            if end - at > _MAX_NAME:
                raise self._refuse()
            return -1
        value = name_end + 1
        size = _FIXED.get(kind)
        if size is None:
            more = _WITH_LENGTH.get(kind)
            if more is None:
                raise self._refuse()
            if value + 4 > end:
                return -1
            (length,) = _INT.unpack_from(data, value)
            size = length + more
            if length < 0 or size < 4:
                raise self._refuse()
        following = value + size
        if following >= self._body_end:
            raise self._refuse()
        if not self._command:
            self._begin(bytes(data[at + 1 : name_end]))
        if kind == _DOCUMENT and name_end - at == 5 and data[at + 1 : name_end] == b"lsid":
            if size > _MAX_LSID:
                raise self._refuse()
            if following > end:
                return -1
            refusal = self._bounds.session(bytes(data[value:following]))
            if refusal is not None:
                raise self._refuse(refusal)
        return following

    def _begin(self, command: bytes) -> None:
        """The name of the command, which is its first field."""
        self._command = command
        if self._op_code == OP_QUERY and command not in _GREETINGS:
            raise self._refuse()
        if command in _SMALL:
            if self._length > _MAX_GREETING:
                raise self._refuse(f"A log-in may have {_MAX_GREETING} bytes.")
        elif command in _FORBIDDEN:
            raise self._refuse(
                f"{command.decode()} is not allowed here. Sessions begin by themselves, and stay while used."
            )
        refusal = None
        if command == b"endSessions":
            refusal = self._bounds.end_sessions(self._length // _SESSION_BYTES)
        elif command in _MAKES_FILES:
            refusal = self._bounds.make_files(self._length // _INDEX_BYTES)
        if refusal is not None:
            raise self._refuse(refusal)
