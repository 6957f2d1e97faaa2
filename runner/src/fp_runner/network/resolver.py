"""Answers the DNS questions of apps. It is a process of its own, because it parses untrusted data.

Each app has a resolver at 127.0.0.1 in its own network. The sockets were created there; this process holds them and
asks the machine's DNS servers from the machine's network. So an app needs no route to those servers, which often are
private or on loopback, and its questions are counted by the socket on which they arrive.
"""

import os
import resource
import socket
import time
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address
from typing import Final, NoReturn

from fp_runner import channel, privileges
from fp_runner.network import dns_message, upstream
from fp_runner.network.dns_message import Question
from fp_runner.network.plain_asyncio import asyncio
from fp_runner.network.settings import Settings

_NOBODY: Final = 65534
# Limits of one app.
_PER_SECOND: Final = 50.0
_AT_ONCE: Final = 100.0
_OPEN: Final = 32
_STREAMS: Final = 4
_STREAM_SECONDS: Final = 10.0
_MAX_QUESTION: Final = 1024
# How long to wait until the firewall allows an allowed name's addresses. After that, the question fails.
_ALLOW_SECONDS: Final = 5.0

Allow = Callable[[str, list[IPv4Address]], Awaitable[bool]]


class Budget:
    """A token bucket: how many questions an app may ask now."""

    def __init__(self) -> None:
        self._left, self._at = _AT_ONCE, time.monotonic()

    def wait(self) -> float:
        """Takes one token and returns 0; without a token, returns the seconds until there is one."""
        now = time.monotonic()
        self._left = min(_AT_ONCE, self._left + (now - self._at) * _PER_SECOND)
        self._at = now
        if self._left < 1:
            return (1 - self._left) / _PER_SECOND
        self._left -= 1
        return 0.0


class AppResolver:
    """The resolver of one app."""

    def __init__(self, settings: Settings, allow: Allow, udp: socket.socket, tcp: socket.socket) -> None:
        self._settings, self._allow = settings, allow
        self._udp, self._tcp = udp, tcp
        self._budget = Budget()
        self._tasks: set[asyncio.Task[None]] = set()
        self._streams = 0
        self._loop = asyncio.get_running_loop()
        self._closed = False
        for listening, read in ((udp, self._read), (tcp, self._accept)):
            listening.setblocking(False)
            self._loop.add_reader(listening.fileno(), read)

    def close(self) -> None:
        """Closes the sockets, so that the app's network namespace can end."""
        self._closed = True
        for listening in (self._udp, self._tcp):
            self._loop.remove_reader(listening.fileno())
            listening.close()
        for task in self._tasks:
            task.cancel()

    def _read(self) -> None:
        if not self._may(self._udp, self._read):
            return
        try:
            query, sender = self._udp.recvfrom(_MAX_QUESTION)
        except OSError:
            return
        if len(self._tasks) < _OPEN:
            self._begin(self._datagram(query, sender))

    def _accept(self) -> None:
        if not self._may(self._tcp, self._accept):
            return
        try:
            stream, _ = self._tcp.accept()
        except OSError:
            return
        if self._streams >= _STREAMS:
            stream.close()
            return
        stream.setblocking(False)
        self._streams += 1
        self._begin(self._stream(stream))

    def _may(self, listening: socket.socket, read: Callable[[], None]) -> bool:
        wait = self._budget.wait()
        if wait:
            # The socket is not read during the wait. The kernel drops what does not fit, which costs this process
            # nothing.
            self._loop.remove_reader(listening.fileno())
            self._loop.call_later(wait, self._resume, listening, read)
        return not wait

    def _resume(self, listening: socket.socket, read: Callable[[], None]) -> None:
        if not self._closed:
            self._loop.add_reader(listening.fileno(), read)

    def _begin(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _datagram(self, query: bytes, sender: object) -> None:
        answer = await self._answer(query, upstream.ask)
        if answer and not self._closed:
            try:
                self._udp.sendto(answer, sender)  # type: ignore[call-overload]
            except OSError:
                return

    async def _stream(self, stream: socket.socket) -> None:
        writer = None
        try:
            async with asyncio.timeout(_STREAM_SECONDS):
                reader, writer = await asyncio.open_connection(sock=stream)
                length = int.from_bytes(await reader.readexactly(2))
                if length > _MAX_QUESTION:
                    return
                answer = await self._answer(await reader.readexactly(length), upstream.ask_by_tcp)
                if answer:
                    writer.write(len(answer).to_bytes(2) + answer)
                    await writer.drain()
        except (OSError, EOFError, TimeoutError):
            return
        finally:
            self._streams -= 1
            if writer:
                writer.close()
            else:
                stream.close()

    async def _answer(self, query: bytes, ask: upstream.Ask) -> bytes | None:
        asked = dns_message.question(query)
        if asked is None:
            return None
        ports = self._settings.ports_of(asked.name)
        if not (ports or self._settings.any_name):
            return dns_message.reply(query, asked, dns_message.NO_SUCH_NAME)
        if asked.kind == dns_message.AAAA:
            # Apps have no IPv6, so an IPv6 address would only cost them a failed attempt.
            return dns_message.reply(query, asked, dns_message.NO_ERROR)
        answer = await self._ask(query, asked, ask)
        if answer is None or not ports or asked.kind != dns_message.A:
            return answer
        # This comes before the answer, because the app may connect as soon as it has the answer.
        is_allowed = await self._allow(asked.name, dns_message.addresses(answer, asked))
        return answer if is_allowed else dns_message.reply(query, asked, dns_message.SERVER_FAILURE)

    async def _ask(self, query: bytes, asked: Question, ask: upstream.Ask) -> bytes | None:
        number = int.from_bytes(os.urandom(2))
        sent = dns_message.with_number(query, number)
        answer = await ask(sent, lambda data: dns_message.answers(data, asked, number))
        return dns_message.with_number(answer, asked.number) if answer else None


class Service:
    """Receives the list of apps from the helper process, and asks it to allow the addresses of an allowed name."""

    def __init__(self, control: socket.socket, settings: Settings) -> None:
        self._control, self._settings = control, settings
        self._apps: dict[str, AppResolver] = {}
        self._asked: dict[int, asyncio.Future[bool]] = {}
        self._next = 0
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Runs until the helper process has ended."""
        asyncio.get_running_loop().add_reader(self._control.fileno(), self._read)
        await self._ended.wait()

    def _read(self) -> None:
        try:
            received = channel.receive(self._control)
        except BlockingIOError:
            return
        if received is None:
            self._ended.set()
            return
        message = received.message
        if message["op"] == "add":
            udp, tcp = (socket.socket(fileno=fd) for fd in received.fds)
            self._apps[message["name"]] = AppResolver(self._settings, self._allow, udp, tcp)
        elif message["op"] == "remove":
            gone = self._apps.pop(message["name"], None)
            if gone:
                gone.close()
        elif message["op"] == "allowed":
            waiting = self._asked.get(message["number"])
            if waiting and not waiting.done():
                waiting.set_result(message["allowed"])

    async def _allow(self, name: str, addresses: list[IPv4Address]) -> bool:
        number = self._next = self._next + 1
        waiting: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asked[number] = waiting
        wire = {"number": number, "host": name, "addresses": [str(ip) for ip in addresses]}
        try:
            channel.send(self._control, wire)
            async with asyncio.timeout(_ALLOW_SECONDS):
                return await waiting
        except OSError:
            # The channel is full, the helper process has ended, or there was no answer in time.
            return False
        finally:
            del self._asked[number]


def serve(control: socket.socket, settings: Settings) -> NoReturn:
    """The main function of the process, which drops all privileges: it can only use the network."""
    control.setblocking(False)
    privileges.die_with_parent()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    privileges.become(_NOBODY, _NOBODY)
    privileges.no_new_privs()
    privileges.die_with_parent()

    async def run() -> None:
        await Service(control, settings).run()

    asyncio.run(run())
    os._exit(0)
