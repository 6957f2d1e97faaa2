"""The answer to a refused message: an error in MongoDB's wire protocol, which every driver shows."""

import struct
from typing import Final

# The header of every message. Its first number is the length of the whole message.
HEADER: Final = struct.Struct("<iiii")

_OP_REPLY: Final = 1
OP_QUERY: Final = 2004
OP_MSG: Final = 2013
# MongoDB's TemporarilyUnavailable.
_CODE: Final = 365


def refuse(request_id: int, op_code: int, text: str) -> bytes:
    """The answer to a message, with `text` as the error."""
    document = _document(text)
    if op_code == OP_QUERY:
        # Drivers send their first message in the old protocol.
        return _message(_OP_REPLY, request_id, struct.pack("<iqii", 0, 0, 0, 1) + document)
    return _message(OP_MSG, request_id, struct.pack("<ib", 0, 0) + document)


def _message(op_code: int, request_id: int, body: bytes) -> bytes:
    return HEADER.pack(HEADER.size + len(body), 0, request_id, op_code) + body


def _document(text: str) -> bytes:
    """`{ok: 0.0, errmsg: text, code: …, codeName: …}` in BSON."""
    fields = (
        b"\x01ok\0"
        + struct.pack("<d", 0.0)
        + _text(b"errmsg", text)
        + b"\x10code\0"
        + struct.pack("<i", _CODE)
        + _text(b"codeName", "TemporarilyUnavailable")
    )
    return struct.pack("<i", len(fields) + 5) + fields + b"\0"


def _text(name: bytes, value: str) -> bytes:
    content = value.encode() + b"\0"
    return b"\x02" + name + b"\0" + struct.pack("<i", len(content)) + content
