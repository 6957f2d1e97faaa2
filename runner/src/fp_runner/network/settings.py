"""What the platform says about the network of apps: FP_NETWORK, as JSON.

The platform writes it (NetworkSettings in platform/src/runtime/local/protocol.ts).
"""

import json
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Final, Literal

Mode = Literal["internet", "none", "list"]
ENVIRONMENT: Final = "FP_NETWORK"
# Where an app with a network of its own finds its resolver.
RESOLVER: Final = "127.0.0.1"


@dataclass(frozen=True)
class AllowedNetwork:
    """Addresses that may be reached though they are private, or though nothing else may. No port: all ports."""

    network: IPv4Network
    port: int | None


@dataclass(frozen=True)
class AllowedHost:
    """The same for a name: the addresses that DNS gives for it."""

    name: str
    port: int | None


@dataclass(frozen=True)
class Settings:
    """The rule for all apps of this machine."""

    mode: Mode = "internet"
    networks: tuple[AllowedNetwork, ...] = ()
    hosts: tuple[AllowedHost, ...] = ()
    # Where the addresses of apps are taken from; None: the first usual one that this machine does not use.
    addresses: IPv4Network | None = None
    # The folder that holds MongoDB's socket; apps see it as root.MONGODB_DIR.
    mongodb: str | None = None

    @property
    def any_name(self) -> bool:
        """Whether every name is looked up, or only those that are allowed."""
        return self.mode == "internet"

    def ports_of(self, name: str) -> tuple[int | None, ...]:
        """The ports (None: all) that `name` may be reached at beyond what its addresses allow."""
        return tuple(host.port for host in self.hosts if host.name == name)


def parse(text: str | None) -> Settings:
    """Raises ValueError or KeyError for what the platform would not write."""
    if not text:
        return Settings()
    wire = json.loads(text)
    if wire["mode"] not in ("internet", "none", "list"):
        raise ValueError(f"unknown egress mode {wire['mode']!r}")
    allowed = wire["allowed"]
    return Settings(
        mode=wire["mode"],
        networks=tuple(AllowedNetwork(IPv4Network(e["network"]), e["port"]) for e in allowed if "network" in e),
        hosts=tuple(AllowedHost(e["host"].lower(), e["port"]) for e in allowed if "host" in e),
        addresses=IPv4Network(wire["addresses"]) if wire["addresses"] else None,
        mongodb=wire["mongodb"],
    )
