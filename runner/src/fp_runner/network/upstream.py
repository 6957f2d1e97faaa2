"""Asks the machine's own DNS servers. They are listed in /etc/resolv.conf, which is read again when it changes."""

import os
from collections.abc import Awaitable, Callable
from typing import Final

from fp_runner.network.plain_asyncio import asyncio

RESOLV_CONF: Final = "/etc/resolv.conf"
_PORT: Final = 53
# glibc's default if the file lists no server.
_DEFAULT: Final = ("127.0.0.1",)
_MAX_SERVERS: Final = 3
_TRY_SECONDS: Final = 2.0
_STREAM_SECONDS: Final = 5.0

IsAnswer = Callable[[bytes], bool]
Ask = Callable[[bytes, IsAnswer], Awaitable[bytes | None]]

_read: tuple[float, tuple[str, ...]] = (-1.0, _DEFAULT)


def servers() -> tuple[str, ...]:
    """The machine's DNS servers, in the order of the file."""
    global _read
    try:
        changed = os.stat(RESOLV_CONF).st_mtime
        if changed != _read[0]:
            with open(RESOLV_CONF, encoding="utf-8", errors="replace") as file:
                _read = (changed, parse(file.read()))
    except OSError:
        return _read[1]
    return _read[1]


def parse(text: str) -> tuple[str, ...]:
    """The DNS servers that a resolv.conf lists."""
    words = [line.split() for line in text.splitlines()]
    found = tuple(line[1] for line in words if len(line) > 1 and line[0] == "nameserver")
    return found[:_MAX_SERVERS] or _DEFAULT


class _Exchange(asyncio.DatagramProtocol):
    """Each question has a port of its own, so that an outsider cannot guess where to send a forged answer."""

    def __init__(self, is_answer: IsAnswer) -> None:
        self._is_answer = is_answer
        self.answer: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, _sender: object) -> None:
        if self._is_answer(data) and not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, _error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_result(None)


async def ask(query: bytes, is_answer: IsAnswer) -> bytes | None:
    """Asks each server in turn over UDP. Returns None if no server answers, and the app then sees a timeout."""
    loop = asyncio.get_running_loop()
    for server in servers():
        try:
            transport, exchange = await loop.create_datagram_endpoint(
                lambda: _Exchange(is_answer), remote_addr=(server, _PORT)
            )
        except OSError:
            continue
        try:
            transport.sendto(query)
            async with asyncio.timeout(_TRY_SECONDS):
                answer = await exchange.answer
            if answer:
                return answer
        except (OSError, TimeoutError):
            continue
        finally:
            transport.close()
    return None


async def ask_by_tcp(query: bytes, is_answer: IsAnswer) -> bytes | None:
    """Asks over TCP, for answers that are too long for a datagram."""
    for server in servers():
        writer = None
        try:
            async with asyncio.timeout(_STREAM_SECONDS):
                reader, writer = await asyncio.open_connection(server, _PORT)
                writer.write(len(query).to_bytes(2) + query)
                answer = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
            if is_answer(answer):
                return answer
        except (OSError, EOFError, TimeoutError):
            continue
        finally:
            if writer:
                writer.close()
    return None
