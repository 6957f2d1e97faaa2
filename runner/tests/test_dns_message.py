"""How the resolver parses questions and answers. Both are untrusted."""

import struct
from ipaddress import IPv4Address

import pytest

from fp_runner.network import dns_message, upstream


def query(*labels: bytes, flags: int = 0x0100, questions: int = 1, kind: int = dns_message.A) -> bytes:
    name = b"".join(bytes([len(label)]) + label for label in labels)
    return struct.pack("!6H", 7, flags, questions, 0, 0, 0) + name + b"\0" + struct.pack("!HH", kind, 1)


def record(kind: int, data: bytes, name: bytes = b"\xc0\x0c") -> bytes:
    return name + struct.pack("!HHIH", kind, 1, 60, len(data)) + data


def answer(asked: bytes, *records: bytes, number: int = 7) -> bytes:
    return struct.pack("!6H", number, 0x8180, 1, len(records), 0, 0) + asked[12:] + b"".join(records)


def test_a_questions_name_is_case_insensitive() -> None:
    found = dns_message.question(query(b"API", b"Example", b"com"))
    assert found is not None
    assert (found.name, found.kind, found.number) == ("api.example.com", dns_message.A, 7)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 11,
        query(b"a", flags=0x8100),
        query(b"a", flags=0x2900),
        query(b"a", questions=2),
        query(b"api.example", b"com"),
        query(b"a")[:-3],
        struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + b"\xc0\x0c\0\1\0\1",
    ],
)
def test_an_invalid_question_is_none(data: bytes) -> None:
    assert dns_message.question(data) is None


def test_addresses_of_aliases_are_found() -> None:
    asked = query(b"a", b"test")
    found = dns_message.question(asked)
    assert found is not None
    response = answer(
        asked,
        record(5, b"\1b\4test\0"),
        record(dns_message.A, bytes([192, 0, 2, 1]), b"\1b\xc0\x0e"),
        record(dns_message.A, bytes([192, 0, 2, 2])),
    )
    assert dns_message.addresses(response, found) == [IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")]
    assert dns_message.addresses(response[:-2], found) == [IPv4Address("192.0.2.1")]


def test_an_answer_to_another_question_is_rejected() -> None:
    asked = query(b"a", b"test")
    found = dns_message.question(asked)
    assert found is not None
    assert dns_message.answers(answer(asked), found, 7)
    assert not dns_message.answers(answer(asked, number=8), found, 7)
    assert not dns_message.answers(answer(query(b"b", b"test")), found, 7)
    assert not dns_message.answers(asked, found, 7)


def test_the_machines_servers_are_read_from_resolv_conf() -> None:
    text = "# comment\nsearch corp\nnameserver 10.0.0.1\nnameserver ::1\nnameserver\nnameserver a\nnameserver b\n"
    assert upstream.parse(text) == ("10.0.0.1", "::1", "a")
    assert upstream.parse("") == ("127.0.0.1",)
