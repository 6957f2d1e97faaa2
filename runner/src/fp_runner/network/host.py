"""The machine's side of the networks of apps: creates one for each app and removes everything at the end.

Only the helper process uses this module. It is root in the machine's own network namespace.
"""

import fcntl
import os
import socket
import struct
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from fp_runner import libc
from fp_runner.network import addresses, firewall, forwarding
from fp_runner.network import netlink as nl
from fp_runner.network.addresses import Addresses, Share
from fp_runner.network.netlink import Netlink, Veth
from fp_runner.network.settings import RESOLVER, Settings

_DNS_PORT: Final = 53
_INNER_NAME: Final = "eth0"
_INNER_INDEX: Final = 2
# No machine has this address. A default route needs a gateway, and a neighbour entry gives the gateway's MAC address.
_GATEWAY: Final = IPv4Address("169.254.1.1")
# Locally administered addresses. All pairs can have the same ones, because each pair is a network of its own.
_INNER_MAC: Final = bytes.fromhex("02f000000001")
_OUTER_MAC: Final = bytes.fromhex("02f000000002")
_USUAL_MTU: Final = 1500
_SIOCGIFMTU: Final = 0x8921
_BACKLOG: Final = 8


@dataclass
class AppNetwork:
    """A network namespace that is connected to the machine. The holder closes the descriptors."""

    number: int
    address: IPv4Address
    namespace: int
    resolver: tuple[socket.socket, socket.socket]

    def close_resolver(self) -> None:
        """Closes the resolver's sockets, which would otherwise keep the namespace alive."""
        for listening in self.resolver:
            listening.close()


class HostNetwork:
    """The firewall, the addresses and the veth pairs. Raises OSError if this machine does not support them."""

    def __init__(self, settings: Settings) -> None:
        self._own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._links = Netlink()
        with addresses.lock():
            remove_stale(self._links)
            self.share: Share = addresses.take_share(addresses.choose(self._links, settings.addresses))
            try:
                firewall.nft(firewall.rules(self.share, settings))
                forwarding.enable()
            except OSError:
                firewall.drop_table(self.share.table)
                forwarding.restore()
                raise
            self.notes = [_obstacle(name, self.share) for name in forwarding.obstacles()]
        self._addresses = Addresses(self.share.network)
        self._mtu = _mtu_outward(self._links)

    def make(self) -> AppNetwork:
        """Creates a network for one app. Raises OSError."""
        number, ip = self._addresses.take()
        outer = Veth(f"{self.share.interfaces}{number}", _OUTER_MAC)
        with ExitStack() as undo:
            undo.callback(self._addresses.give_back, number)
            libc.unshare(libc.CLONE_NEWNET)
            try:
                namespace = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
                undo.callback(os.close, namespace)
                self._furnish(outer, ip)
                network = AppNetwork(number, ip, namespace, _listen())
                undo.callback(network.close_resolver)
            finally:
                libc.setns(self._own, libc.CLONE_NEWNET)
            index = socket.if_nametoindex(outer.name)
            self._links.request(
                nl.no_ipv6(index), nl.link_up(index), nl.host_route(index, ip), nl.neighbour(index, ip, _INNER_MAC)
            )
            undo.pop_all()
        return network

    def give_back(self, network: AppNetwork) -> None:
        """Called after the app's end. The kernel removes the veth pair with the namespace."""
        self._addresses.give_back(network.number)

    def allow(self, found: list[IPv4Address], ports: tuple[int | None, ...]) -> None:
        """Lets apps reach the addresses of an allowed name."""
        firewall.allow(self.share, found, ports)

    def close(self) -> None:
        """Removes everything. The rules are removed last, so that no app's packet is ever forwarded without them."""
        with addresses.lock():
            _remove(self.share.number, self._links)
            self.share.claim.close()
            forwarding.restore()

    def _furnish(self, outer: Veth, ip: IPv4Address) -> None:
        """Sets up the new namespace: an interface with one address, and a default route through the gateway."""
        with Netlink() as inside:
            inside.request(
                nl.link_up(nl.LOOPBACK_INDEX),
                nl.veth_pair(Veth(_INNER_NAME, _INNER_MAC), _INNER_INDEX, outer, self._own, self._mtu),
                nl.no_ipv6(_INNER_INDEX),
                nl.link_up(_INNER_INDEX),
                nl.address(_INNER_INDEX, ip),
                nl.neighbour(_INNER_INDEX, _GATEWAY, _OUTER_MAC),
                nl.default_route(_INNER_INDEX, _GATEWAY),
            )


def remove_stale(links: Netlink) -> None:
    """Removes what remains of platforms that were killed together with their helpers. The caller holds the lock."""
    tables = firewall.tables()
    for number in range(addresses.SHARES):
        if addresses.table_of(number) not in tables:
            continue
        held = addresses.claim(str(number))
        if held:
            _remove(number, links)
            held.close()
    forwarding.restore()


def _remove(number: int, links: Netlink) -> None:
    prefix = addresses.interfaces_of(number)
    for _, name in socket.if_nameindex():
        if name.startswith(prefix):
            try:
                links.request(nl.delete_link(name))
            except OSError:
                # The app's namespace has ended meanwhile, and the kernel has removed the interface with it.
                continue
    firewall.drop_table(addresses.table_of(number))


def _obstacle(chain: str, share: Share) -> str:
    return (
        f'The firewall chain "{chain}" drops what is forwarded, so apps may not reach the internet: let it accept '
        f"what comes from or goes to the interfaces {share.interfaces}*."
    )


def _listen() -> tuple[socket.socket, socket.socket]:
    """The resolver's sockets, in the current network namespace."""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((RESOLVER, _DNS_PORT))
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    tcp.bind((RESOLVER, _DNS_PORT))
    tcp.listen(_BACKLOG)
    return udp, tcp


def _mtu_outward(links: Netlink) -> int:
    """The MTU of the route to the internet. Larger packets would have to be refused, and some servers never learn of
    that."""
    for route in links.routes():
        if route.to.prefixlen == 0:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
                request = struct.pack("16si", socket.if_indextoname(route.interface).encode(), 0)
                return int(struct.unpack("16si", fcntl.ioctl(any_socket, _SIOCGIFMTU, request + bytes(12))[:20])[1])
    return _USUAL_MTU
