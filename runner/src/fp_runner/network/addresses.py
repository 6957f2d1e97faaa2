"""Which addresses the apps of this platform have: a sixteenth of a private network that the machine does not use."""

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
# Seldom used by home routers, clouds, Docker and Kubernetes. Apps never see each other's, so only the machine's matter.
_USUAL: Final = (IPv4Network("10.213.0.0/16"), IPv4Network("172.29.0.0/16"), IPv4Network("198.18.0.0/16"))
_PREFIX: Final = "fp"
_OURS: Final = re.compile(rf"{_PREFIX}\d+-")
_LOCK_SECONDS: Final = 10.0


@dataclass
class Share:
    """The part of one running platform: its number is in the name of all that it makes. `claim` keeps it."""

    number: int
    network: IPv4Network
    claim: socket.socket

    @property
    def interfaces(self) -> str:
        """What the names of its interfaces begin with."""
        return interfaces_of(self.number)

    @property
    def table(self) -> str:
        """The name of its nftables table."""
        return table_of(self.number)


class Addresses:
    """Hands out the addresses of a share, those that were given back longest ago first."""

    def __init__(self, network: IPv4Network) -> None:
        self._free = deque(range(1, network.num_addresses - 1))
        self._network = network

    def take(self) -> tuple[int, IPv4Address]:
        """A number and its address. Raises OSError when all are in use."""
        if not self._free:
            raise OSError(
                errno.EADDRNOTAVAIL,
                f"all addresses of {self._network} are in use; stop some apps",
            )
        number = self._free.popleft()
        return number, self._network[number]

    def give_back(self, number: int) -> None:
        """For a later app."""
        self._free.append(number)


def interfaces_of(number: int) -> str:
    """What the names of a share's interfaces begin with."""
    return f"{_PREFIX}{number}-"


def table_of(number: int) -> str:
    """The nftables table of a share."""
    return f"fp_{number}"


def claim(name: str) -> socket.socket | None:
    """Keeps a name for as long as the socket is open; None if another process of this network namespace has it.

    An abstract socket, because the kernel lets go of it when its process ends, however it ends.
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
    """One platform at a time sets up or removes what all share."""
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
    """The network to take a share of. Raises OSError when it, or every usual one, is in use on this machine."""
    # The ends of the pairs on this side have no address, so every address is of something else.
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
    """A share that no running platform has. Raises OSError when all are taken."""
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
