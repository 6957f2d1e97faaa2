"""The rtnetlink requests that create the network of an app: links, addresses, neighbours and routes.

The command `ip` would need a process for each step, which would delay the start of apps. The layouts are those of
linux/rtnetlink.h, if_link.h, if_addr.h and neighbour.h.
"""

import os
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Final, Self

LOOPBACK_INDEX: Final = 1

_NEWLINK, _DELLINK, _NEWADDR, _GETADDR, _NEWROUTE, _GETROUTE, _NEWNEIGH = 16, 17, 20, 22, 24, 26, 28
_ERROR, _DONE = 2, 3
_REQUEST, _ACK, _EXCL, _CREATE, _DUMP = 0x1, 0x4, 0x200, 0x400, 0x300

_HEADER: Final = struct.Struct("=IHHII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_LINK: Final = struct.Struct("=BxHiII")
_ADDRESS: Final = struct.Struct("=BBBBi")
_NEIGHBOUR: Final = struct.Struct("=BxxxiHBB")
_ROUTE: Final = struct.Struct("=8BI")

_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINKINFO, _IFLA_AF_SPEC, _IFLA_NET_NS_FD = 1, 3, 4, 18, 26, 28
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_INET6_ADDR_GEN_MODE, _ADDR_GEN_NONE = 8, b"\x01"
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_NDA_DST, _NDA_LLADDR = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_UP: Final = 0x1
_PERMANENT: Final = 0x80
_MAIN_TABLE, _STATIC, _LINK_SCOPE, _UNICAST, _ONLINK = 254, 4, 253, 1, 4


@dataclass(frozen=True)
class Veth:
    """One end of a veth pair."""

    name: str
    mac: bytes


@dataclass(frozen=True)
class Route:
    """A route of the machine: its destination and its interface."""

    to: IPv4Network
    interface: int


def veth_pair(inner: Veth, index: int, outer: Veth, outer_namespace: int, mtu: int) -> bytes:
    """Creates a veth pair: `inner` in this namespace with the given index, `outer` in `outer_namespace` (a
    descriptor)."""
    common = _attribute(_IFLA_MTU, struct.pack("=I", mtu))
    peer = (
        _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        + _named(outer)
        + common
        + _attribute(_IFLA_NET_NS_FD, struct.pack("=I", outer_namespace))
    )
    info = _attribute(_INFO_KIND, b"veth") + _attribute(_INFO_DATA, _attribute(_VETH_PEER, peer))
    body = _LINK.pack(socket.AF_UNSPEC, 0, index, 0, 0) + _named(inner) + common + _attribute(_IFLA_LINKINFO, info)
    return _message(_NEWLINK, _CREATE | _EXCL, body)


def link_up(index: int) -> bytes:
    """Turns on an interface."""
    return _message(_NEWLINK, 0, _LINK.pack(socket.AF_UNSPEC, 0, index, _UP, _UP))


def no_ipv6(index: int) -> bytes:
    """Turns off the link-local IPv6 address, with which the two ends could bypass the IPv4 rules."""
    mode = _attribute(_INET6_ADDR_GEN_MODE, _ADDR_GEN_NONE)
    spec = _attribute(_IFLA_AF_SPEC, _attribute(socket.AF_INET6, mode))
    return _message(_NEWLINK, 0, _LINK.pack(socket.AF_UNSPEC, 0, index, 0, 0) + spec)


def delete_link(name: str) -> bytes:
    """Removes an interface and its peer."""
    return _message(_DELLINK, 0, _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + _attribute(_IFLA_IFNAME, _text(name)))


def address(index: int, ip: IPv4Address) -> bytes:
    """Gives an interface an address with the prefix length 32."""
    body = _ADDRESS.pack(socket.AF_INET, 32, 0, 0, index)
    return _message(_NEWADDR, _CREATE, body + _attribute(_IFA_LOCAL, ip.packed) + _attribute(_IFA_ADDRESS, ip.packed))


def neighbour(index: int, ip: IPv4Address, mac: bytes) -> bytes:
    """Sets the MAC address of an IP address permanently, so that nobody asks for it and nobody can forge the answer."""
    body = _NEIGHBOUR.pack(socket.AF_INET, index, _PERMANENT, 0, 0)
    return _message(_NEWNEIGH, _CREATE, body + _attribute(_NDA_DST, ip.packed) + _attribute(_NDA_LLADDR, mac))


def default_route(index: int, gateway: IPv4Address) -> bytes:
    """Sends everything to `gateway`, which the kernel treats as directly reachable on the link."""
    body = _ROUTE.pack(socket.AF_INET, 0, 0, 0, _MAIN_TABLE, _STATIC, 0, _UNICAST, _ONLINK)
    return _message(_NEWROUTE, _CREATE, body + _attribute(_RTA_GATEWAY, gateway.packed) + _out_of(index))


def host_route(index: int, ip: IPv4Address) -> bytes:
    """Sends packets for one address to an interface."""
    body = _ROUTE.pack(socket.AF_INET, 32, 0, 0, _MAIN_TABLE, _STATIC, _LINK_SCOPE, _UNICAST, 0)
    return _message(_NEWROUTE, _CREATE, body + _attribute(_RTA_DST, ip.packed) + _out_of(index))


class Netlink:
    """A netlink socket. It stays in the network namespace in which it was opened, whatever namespace is entered
    later."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.bind((0, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def request(self, *messages: bytes) -> None:
        """Executes all requests in order. Raises OSError for the first one that failed."""
        numbered = [_HEADER.pack(*_HEADER.unpack_from(m)[:3], at, 0) + m[16:] for at, m in enumerate(messages)]
        self._socket.send(b"".join(numbered))
        failed = 0
        left = len(messages)
        while left:
            for kind, body in _messages(self._socket.recv(65536)):
                if kind == _ERROR:
                    left -= 1
                    failed = failed or -struct.unpack_from("=i", body)[0]
        if failed:
            raise OSError(failed, os.strerror(failed))

    def routes(self) -> list[Route]:
        """The IPv4 routes of the main table, with the default route."""
        found = []
        for body in self._dump(_GETROUTE, _ROUTE.pack(socket.AF_INET, *[0] * 8)):
            _, length, _, _, table, _, _, kind, _ = _ROUTE.unpack_from(body)
            attributes = dict(_attributes(body[_ROUTE.size :]))
            if table == _MAIN_TABLE and kind == _UNICAST and _RTA_OIF in attributes:
                to = IPv4Network((attributes.get(_RTA_DST, bytes(4)), length))
                found.append(Route(to, struct.unpack("=i", attributes[_RTA_OIF])[0]))
        return found

    def addresses(self) -> list[IPv4Network]:
        """The networks of the IPv4 addresses of all interfaces."""
        found = []
        for body in self._dump(_GETADDR, _ADDRESS.pack(socket.AF_INET, 0, 0, 0, 0)):
            ip = dict(_attributes(body[_ADDRESS.size :])).get(_IFA_ADDRESS)
            if ip:
                found.append(IPv4Network((ip, body[1]), strict=False))
        return found

    def _dump(self, kind: int, body: bytes) -> list[bytes]:
        self._socket.send(_message(kind, _DUMP, body, ack=False))
        found: list[bytes] = []
        while True:
            for answer, content in _messages(self._socket.recv(65536)):
                if answer == _DONE:
                    return found
                if answer == _ERROR:
                    failed = -struct.unpack_from("=i", content)[0]
                    raise OSError(failed, os.strerror(failed))
                found.append(content)


def _message(kind: int, flags: int, body: bytes, *, ack: bool = True) -> bytes:
    flags |= _REQUEST | (_ACK if ack else 0)
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, 0, 0) + body


def _messages(data: bytes) -> Iterable[tuple[int, bytes]]:
    while len(data) >= _HEADER.size:
        length, kind = struct.unpack_from("=IH", data)
        yield kind, data[_HEADER.size : length]
        data = data[_aligned(length) :]


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(_aligned(length) - length)


def _attributes(data: bytes) -> Iterable[tuple[int, bytes]]:
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        yield kind, data[_ATTRIBUTE.size : length]
        data = data[_aligned(length) :]


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _named(end: Veth) -> bytes:
    return _attribute(_IFLA_IFNAME, _text(end.name)) + _attribute(_IFLA_ADDRESS, end.mac)


def _out_of(index: int) -> bytes:
    return _attribute(_RTA_OIF, struct.pack("=i", index))


def _text(name: str) -> bytes:
    return name.encode() + b"\0"
