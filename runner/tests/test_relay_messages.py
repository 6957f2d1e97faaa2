"""How the relay parses the messages of apps, and which of them it refuses."""

import struct
import uuid
from typing import Any

import bson
import pytest

from fp_runner.relay.bounds import MAX_SESSIONS, WINDOW_SECONDS, Bounds
from fp_runner.relay.messages import Messages, RefusalError
from fp_runner.relay.refusal import OP_MSG, OP_QUERY

LSID = {"id": bson.Binary.from_uuid(uuid.UUID(int=7))}


def message(command: dict[str, Any], sections: bytes = b"", kind: int = 0) -> bytes:
    return wire(OP_MSG, struct.pack("<IB", 0, kind) + bson.encode(command) + sections)


def query(command: dict[str, Any]) -> bytes:
    return wire(OP_QUERY, struct.pack("<i", 0) + b"admin.$cmd\0" + struct.pack("<ii", 0, -1) + bson.encode(command))


def wire(op_code: int, body: bytes) -> bytes:
    return struct.pack("<iiii", 16 + len(body), 5, 0, op_code) + body


def documents(name: bytes, *all_of_them: dict[str, Any]) -> bytes:
    content = name + b"\0" + b"".join(map(bson.encode, all_of_them))
    return b"\1" + struct.pack("<i", 4 + len(content)) + content


def refusal(stream: bytes, step: int | None = None, bounds: Bounds | None = None) -> str | None:
    messages = Messages(bounds or Bounds())
    step = step or len(stream)
    try:
        for begin in range(0, len(stream), step):
            part = stream[begin : begin + step]
            # The buffer is longer than what was read into it, as in the relay.
            messages.read(bytearray(part + b"\xff" * 8), len(part))
    except RefusalError as error:
        assert error.request_id == 5
        return error.reason
    return None


ORDINARY = [
    query({"isMaster": 1, "helloOk": True, "client": {"driver": {"name": "x"}}}),
    message({"saslStart": 1, "mechanism": "SCRAM-SHA-256", "payload": b"n,,n=fp_u,r=x", "$db": "fp_u"}),
    message({"find": "notes", "filter": {"refreshSessions": 1}, "lsid": LSID, "$db": "fp_u"}),
    message(
        {"insert": "notes", "ordered": True, "lsid": LSID, "$db": "fp_u"},
        documents(b"documents", {"a": 1}, {"b": "x" * 70_000}),
    ),
    message({"insert": "notes", "documents": [{"text": "x" * 70_000}], "lsid": LSID, "$db": "fp_u"}),
    message(
        {"getMore": bson.Int64(7), "collection": "notes", "maxTimeMS": 1.5, "none": None, "at": bson.Timestamp(1, 1)}
    ),
    message({"endSessions": [LSID] * 100, "$db": "admin"}),
]


@pytest.mark.parametrize("step", [1, 7, 25, 1000, 65536, None])
def test_ordinary_messages_pass_in_parts_of_any_size(step: int | None) -> None:
    assert refusal(b"".join(ORDINARY), step) is None


@pytest.mark.parametrize("step", [1, 30, None])
@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (message({"refreshSessions": [LSID], "$db": "admin"}), "refreshSessions is not allowed"),
        (message({"startSession": 1, "$db": "admin"}), "startSession is not allowed"),
        (query({"refreshSessions": [LSID]}), "no command"),
        (message({"saslStart": 1, "payload": b"n,,n=" + b"x" * 5000}), "log-in"),
        (query({"isMaster": 1, "speculativeAuthenticate": {"payload": b"x" * 5000}}), "log-in"),
        (message({"endSessions": [LSID] * MAX_SESSIONS * 2}), "sessions"),
        # The command is not where drivers put it.
        (message({"find": "notes"}, kind=1), "no command"),
        (wire(2012, b"x" * 30), "no command"),
        (wire(1, b"x" * 30), "no command"),
        (message({"find": bson.Regex("x")}), "no command"),
        (message({}), "no command"),
        (message({"x" * 500: 1}), "no command"),
        # Lengths that contradict each other.
        (struct.pack("<iiii", 40, 5, 0, OP_MSG) + message({"find": "n" * 100})[16:], "no command"),
        (struct.pack("<iiii", -1, 5, 0, OP_MSG) + message({"find": "n"})[16:], "no command"),
        (message({"find": "n"}).replace(b"\x02find\0\x02", b"\x02find\0\x7f"), "no command"),
    ],
)
def test_harmful_messages_are_refused_after_ordinary_ones(harm: bytes, reason: str, step: int | None) -> None:
    told = refusal(ORDINARY[4] + harm, step)
    assert told is not None
    assert reason in told


@pytest.mark.parametrize("step", [1, 50, None])
def test_sessions_are_limited_wherever_the_command_names_them(step: int | None) -> None:
    time = 0.0
    bounds = Bounds(lambda: time)
    for n in range(MAX_SESSIONS):
        assert bounds.session(bytes([n & 255, n >> 8])) is None
    used = {"id": bson.Binary.from_uuid(uuid.uuid4())}
    late = message({"insert": "notes", "documents": [{"text": "x" * 100_000}], "lsid": used, "$db": "fp_u"})
    assert "database sessions" in str(refusal(late, step, bounds))
    # A known session is still allowed.
    assert bounds.session(b"\0\0") is None
    time = WINDOW_SECONDS
    assert refusal(late, step, bounds) is None


def test_ended_sessions_count() -> None:
    bounds = Bounds()
    ends = message({"endSessions": [LSID] * 1000, "$db": "admin"})
    assert [refusal(ends, None, bounds) is None for _ in range(6)] == [True] * 4 + [False] * 2


def test_collections_and_indexes_are_limited() -> None:
    time = 0.0
    bounds = Bounds(lambda: time)
    # As many as an app may create when it starts.
    one = message(
        {"createIndexes": "notes", "indexes": [{"key": {"at": 1}, "name": "at_1"}], "lsid": LSID, "$db": "fp_u"}
    )
    assert [refusal(one, None, bounds) for _ in range(60)] == [None] * 60
    many = [{"key": {f"f{n}": 1}, "name": f"i{n}"} for n in range(60)]
    told = [refusal(message({"createIndexes": f"c{n}", "indexes": many}), None, bounds) for n in range(8)]
    assert told[0] is None
    assert "collections and indexes" in str(told[7])
    time = WINDOW_SECONDS
    assert refusal(one, None, bounds) is None
