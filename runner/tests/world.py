"""A small internet for tests: one network namespace is the machine, another one is the hosts that it can reach.

    machine ──(198.51.100.2)──────(198.51.100.1)── outside: a public host, a private one, the machine's DNS server
              10.99.0.2                10.99.0.1   10.99.0.53

Nothing in it touches this computer's own network.
"""

import itertools
import os
import socket
import socketserver
import struct
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from fp_runner import libc

PUBLIC = "198.51.100.1"
MACHINE = "198.51.100.2"
PRIVATE = "10.99.0.1"
DNS = "10.99.0.53"
PORT = 8080
T = TypeVar("T")
_NUMBERS = itertools.count()
NAMES = {"public.test": PUBLIC, "private.test": PRIVATE, "other.test": "198.51.100.77"}


class World:
    """Both namespaces, with TCP and UDP servers that answer with the client's address."""

    def __init__(self, folder: Path) -> None:
        self.names = [f"fp-test-{os.getpid()}-{next(_NUMBERS)}-{part}" for part in ("machine", "outside")]
        self.machine, self.outside = self.names
        self.servers: list[socketserver.BaseServer] = []
        self.folder = folder
        for name in self.names:
            _run("ip", "netns", "add", name)
            _run("ip", "-n", name, "link", "set", "lo", "up")
        # A new namespace inherits the setting from this computer, where another fp may have turned it on.
        self.output("sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward")
        _run("ip", "-n", self.machine, "link", "add", "up0", "mtu", "1400", "type", "veth",
             "peer", "name", "down0", "netns", self.outside)  # fmt: skip
        for name, link, addresses in (
            (self.machine, "up0", (f"{MACHINE}/24", "10.99.0.2/24")),
            (
                self.outside,
                "down0",
                (f"{PUBLIC}/24", f"{PRIVATE}/24", f"{DNS}/24", "169.254.169.254/32", "192.168.7.1/32"),
            ),
        ):
            for address in addresses:
                _run("ip", "-n", name, "addr", "add", address, "dev", link)
            _run("ip", "-n", name, "link", "set", link, "up")
        _run("ip", "-n", self.machine, "route", "add", "default", "via", PUBLIC)
        self.serve(self.outside, "0.0.0.0")
        self.serve(self.machine, "0.0.0.0")
        self._dns_server()

    def close(self) -> None:
        for server in self.servers:
            server.shutdown()
            server.server_close()
        for name in self.names:
            _run("ip", "netns", "delete", name)

    def prefix(self) -> tuple[str, ...]:
        """The command prefix that runs a command on the machine."""
        resolv = self.folder / "resolv.conf"
        resolv.write_text(f"nameserver {DNS}\n")
        script = 'mount --make-rprivate / && mount --bind "$0" /etc/resolv.conf && exec "$@"'
        return ("nsenter", f"--net=/run/netns/{self.machine}", "unshare", "-m", "sh", "-c", script, str(resolv))

    def inside(self, namespace: str, work: Callable[[], T]) -> T:
        """Runs `work` in a namespace, in a thread of its own, because each thread has a network namespace."""
        result: list[Any] = []

        def body() -> None:
            fd = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
            libc.setns(fd, libc.CLONE_NEWNET)
            os.close(fd)
            try:
                result.append(work())
            except BaseException as error:
                result.append(error)

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        if isinstance(result[0], BaseException):
            raise result[0]
        return result[0]  # type: ignore[no-any-return]

    def output(self, *command: str) -> str:
        """The output of a command on the machine."""
        return _run("nsenter", f"--net=/run/netns/{self.machine}", *command)

    def forwarding(self) -> str:
        """Whether the machine forwards packets ("1") or not ("0")."""
        # Read in a child process, because /proc/sys/net shows the namespace of the process that opens it.
        return self.output("cat", "/proc/sys/net/ipv4/ip_forward").strip()

    def add_network_behind(self, near: str, far: str) -> None:
        """Adds a network behind the machine, with a host to which the outside has a route."""
        name = f"{self.machine}-behind"
        self.names.append(name)
        _run("ip", "netns", "add", name)
        _run("ip", "-n", self.machine, "link", "add", "behind0", "type", "veth", "peer", "name", "up0", "netns", name)
        for namespace, link, address in ((self.machine, "behind0", near), (name, "up0", far)):
            _run("ip", "-n", namespace, "addr", "add", f"{address}/24", "dev", link)
            _run("ip", "-n", namespace, "link", "set", link, "up")
        _run("ip", "-n", name, "route", "add", "default", "via", near)
        _run("ip", "-n", self.outside, "route", "add", f"{far}/32", "via", MACHINE)
        self.serve(name, "0.0.0.0")

    def serve(self, namespace: str, address: str) -> None:
        """Starts servers that answer with the client's address, on TCP and UDP."""

        class Tcp(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.sendall(self.client_address[0].encode())

        class Udp(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request[1].sendto(self.client_address[0].encode(), self.client_address)

        self._start(namespace, lambda: socketserver.ThreadingTCPServer((address, PORT), Tcp))
        self._start(namespace, lambda: socketserver.ThreadingUDPServer((address, PORT), Udp))

    def _dns_server(self) -> None:
        class Dns(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request[1].sendto(_dns_answer(self.request[0]), self.client_address)

        class DnsByTcp(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                answer = _dns_answer(self.rfile.read(int.from_bytes(self.rfile.read(2))))
                self.wfile.write(len(answer).to_bytes(2) + answer)

        self._start(self.outside, lambda: socketserver.ThreadingUDPServer((DNS, 53), Dns))
        self._start(self.outside, lambda: socketserver.ThreadingTCPServer((DNS, 53), DnsByTcp))

    def _start(self, namespace: str, make: Callable[[], socketserver.BaseServer]) -> None:
        server = self.inside(namespace, make)
        self.servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()


def _dns_answer(query: bytes) -> bytes:
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode().lower())
        at += 1 + query[at]
    end = at + 5
    (kind,) = struct.unpack_from("!H", query, at + 1)
    address = NAMES.get(".".join(labels))
    head = query[:2] + struct.pack("!5H", 0x8180 if address else 0x8183, 1, int(kind == 1 and bool(address)), 0, 0)
    record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + socket.inet_aton(address or "0.0.0.0")
    return head + query[12:end] + (record if address and kind == 1 else b"")


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout
