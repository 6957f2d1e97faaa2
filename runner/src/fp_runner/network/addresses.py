"""The addresses of this platform's apps: one sixteenth of a private network that the machine does not use."""

import errno
import re
import socket
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from fp_runner.network.netlink import Netlink

SHARES: Final = 16
_SHARE_BITS: Final = 4
# Seldom used by home routers, clouds, Docker and Kubernetes. Apps never see each other's addresses, so these must only
# differ from the machine's own networks.
_USUAL: Final = (IPv4Network("10.213.0.0/16"), IPv4Network("172.29.0.0/16"), IPv4Network("198.18.0.0/16"))
_PREFIX: Final = "fp"
_OURS: Final = re.compile(rf"{_PREFIX}\d+-")
_LOCK_SECONDS: Final = 10.0


@dataclass
class Share:
    """The addresses of one running platform. Its `number` is in the names of all that it creates; `claim` reserves
    it."""

    number: int
    network: IPv4Network
    claim: socket.socket

    @property
    def interfaces(self) -> str:
        """The prefix of the names of its interfaces."""
        return interfaces_of(self.number)

    @property
    def table(self) -> str:
        """The name of its nftables table."""
        return table_of(self.number)


class Addresses:
    """Hands out the addresses of a share. The address that was given back first is used again first."""

    def __init__(self, network: IPv4Network) -> None:
        self._free = deque(range(1, network.num_addresses - 1))
        self._network = network

    def take(self) -> tuple[int, IPv4Address]:
        """Returns a number and its address. Raises OSError if all are in use."""
        if not self._free:
            raise OSError(
                errno.EADDRNOTAVAIL,
                f"all addresses of {self._network} are in use; stop some apps",
            )
        number = self._free.popleft()
        return number, self._network[number]

    def give_back(self, number: int) -> None:
        """Makes the address available again."""
        self._free.append(number)


def interfaces_of(number: int) -> str:
    """The prefix of the names of a share's interfaces."""
    return f"{_PREFIX}{number}-"


def table_of(number: int) -> str:
    """The name of a share's nftables table."""
    return f"fp_{number}"


def claim(name: str) -> socket.socket | None:
    """Reserves a name until the socket is closed. Returns None if another process in this network namespace has it.

    This is an abstract unix socket, because the kernel releases its name when the process ends for any reason.
    """
    mine = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        mine.bind(f"\0fp-network-{name}")
    except OSError as error:
        mine.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    return mine


@contextmanager
def lock() -> Iterator[None]:
    """Held while a platform sets up or removes what all platforms on the machine have in common."""
    end = time.monotonic() + _LOCK_SECONDS
    while (held := claim("lock")) is None:
        if time.monotonic() > end:
            raise TimeoutError("another fp on this machine is still setting up its network; start fp again later")
        time.sleep(0.01)
    try:
        yield
    finally:
        held.close()


def choose(links: Netlink, wanted: IPv4Network | None) -> IPv4Network:
    """Returns the network to take a share of. Raises OSError if it, or every usual network, is in use on this
    machine."""
    # The ends of fp's own pairs on the machine's side have no address, so every address belongs to something else.
    used = links.addresses()
    for route in links.routes():
        if route.to.prefixlen > 0 and not _OURS.match(_interface(route.interface)):
            used.append(route.to)
    candidates = (wanted,) if wanted else _USUAL
    for network in candidates:
        if not any(network.overlaps(other) for other in used):
            return network
    names = ", ".join(str(network) for network in candidates)
    raise OSError(
        errno.EADDRINUSE, f"{names}: in use on this machine; name another private network with FP_APP_NETWORK"
    )


def take_share(network: IPv4Network) -> Share:
    """Takes a share that no running platform has. Raises OSError if all are taken."""
    shares = list(network.subnets(_SHARE_BITS))
    for number in range(SHARES):
        held = claim(str(number))
        if held:
            return Share(number, shares[number], held)
    raise OSError(errno.EADDRINUSE, f"{SHARES} platforms already run on this machine; stop one of them")


def _interface(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:
        return ""
