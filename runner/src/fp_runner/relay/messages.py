"""Parses what an app sends to MongoDB, as far as necessary to refuse messages that would harm other apps."""

import struct
from typing import Final

from fp_runner.relay.bounds import Bounds
from fp_runner.relay.refusal import HEADER, OP_MSG, OP_QUERY

# MongoDB's own limit.
_MAX_MESSAGE: Final = 48_000_000
# Messages that a client may send before it has logged in. MongoDB writes parts of them into its log.
_MAX_GREETING: Final = 4_096
# The most bytes in the name of a command's field. MongoDB's own names have up to about 40.
_MAX_NAME: Final = 128
# The most bytes of a session id. `{id: UUID}` has 30 bytes, and internal sessions of MongoDB have two more fields.
_MAX_LSID: Final = 128
# The least bytes that a session takes in the list of `endSessions`.
_SESSION_BYTES: Final = 32
# About how many bytes of the command one index takes: fewer if the command creates many, more if it creates one.
_INDEX_BYTES: Final = 64

_GREETINGS: Final = frozenset([b"hello", b"isMaster", b"ismaster"])
_SMALL: Final = _GREETINGS | {b"saslStart", b"saslContinue", b"authenticate", b"logout"}
# Drivers do not send these: a session begins with the first command that names its id.
_FORBIDDEN: Final = frozenset([b"refreshSessions", b"startSession"])

_MAKES_FILES: Final = frozenset([b"create", b"createIndexes"])

_INT: Final = struct.Struct("<i")
# Header, flags, kind of section, length of the document.
_MSG_HEAD: Final = struct.Struct("<iiiiIBi")
# Sizes of BSON values: fixed sizes, and what to add to the length that precedes a value of variable size. Types that no
# command has at its top level (regular expressions, DBPointers) are missing.
_FIXED: Final = {1: 8, 6: 0, 7: 12, 8: 1, 9: 8, 10: 0, 16: 4, 17: 8, 18: 8, 19: 16, 127: 0, 255: 0}
_WITH_LENGTH: Final = {2: 4, 3: 0, 4: 0, 5: 5, 13: 4, 14: 4, 15: 0}
_DOCUMENT: Final = 3

_MALFORMED: Final = "This is no command that a MongoDB driver sends."


class RefusalError(Exception):
    """The message is not forwarded, and the connection is closed."""

    def __init__(self, reason: str, request_id: int, op_code: int) -> None:
        self.reason, self.request_id, self.op_code = reason, request_id, op_code


class Messages:
    """The messages of one connection. Bytes are forwarded as they arrive. Only the names and sizes of a command's
    fields and the session id are read, so no message has to be buffered."""

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
        # The start of a message or field that is incomplete until more bytes arrive.
        self._rest = b""
        # How many of the next bytes need not be read.
        self._skip = 0
        # Relative to the next byte. `_body_end` is 0 outside the document of a command.
        self._message_end = self._body_end = 0
        self._length = self._request_id = self._op_code = 0
        self._command = b""

    def read(self, data: bytes | bytearray, end: int) -> None:
        """Reads the bytes of `data` up to `end`. Raises RefusalError."""
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
                # The message or field is incomplete.
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
        """Reads the start of a message. Returns the position of its first field, or -1 if bytes are missing."""
        if end - at < _MSG_HEAD.size:
            return -1
        self._length, self._request_id, _, self._op_code, _, kind, size = _MSG_HEAD.unpack_from(data, at)
        begin = at + _MSG_HEAD.size
        if self._op_code == OP_QUERY:
            # An OP_QUERY has flags, a zero-terminated name, two numbers and the document.
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
        """Reads one field. Returns the position of the next field or message, or -1 if bytes are missing."""
        kind = data[at]
        if kind == 0:
            if at + 1 != self._body_end or not self._command:
                raise self._refuse()
            self._body_end = 0
            # The rest of the message is more documents of the same command.
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
        """Checks the name of the command, which is its first field."""
        self._command = command
        if self._op_code == OP_QUERY and command not in _GREETINGS:
            raise self._refuse()
        if command in _SMALL:
            if self._length > _MAX_GREETING:
                raise self._refuse(f"A log-in message may have at most {_MAX_GREETING} bytes.")
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
