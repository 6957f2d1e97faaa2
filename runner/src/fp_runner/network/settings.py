"""The platform's settings for the networks of apps: FP_NETWORK, as JSON.

The platform writes it (NetworkSettings in platform/src/runtime/local/protocol.ts).
"""

import json
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Final, Literal

Mode = Literal["internet", "none", "list"]
ENVIRONMENT: Final = "FP_NETWORK"
# The address of an app's resolver in the app's own network.
RESOLVER: Final = "127.0.0.1"


@dataclass(frozen=True)
class AllowedNetwork:
    """Addresses that apps may reach although they are private or `mode` allows no others. `port` None: all ports."""

    network: IPv4Network
    port: int | None


@dataclass(frozen=True)
class AllowedHost:
    """A name of which apps may reach all addresses that DNS returns."""

    name: str
    port: int | None


@dataclass(frozen=True)
class Settings:
    """The settings for all apps of this machine."""

    mode: Mode = "internet"
    networks: tuple[AllowedNetwork, ...] = ()
    hosts: tuple[AllowedHost, ...] = ()
    # The network from which apps get addresses. None: the first of the usual ones that this machine does not use.
    addresses: IPv4Network | None = None
    # The folder with MongoDB's socket. Apps see it as root.MONGODB_DIR.
    mongodb: str | None = None

    @property
    def any_name(self) -> bool:
        """Whether every name is looked up, or only the allowed names."""
        return self.mode == "internet"

    def ports_of(self, name: str) -> tuple[int | None, ...]:
        """The ports (None: all) on which `name` may be reached, in addition to what its addresses allow."""
        return tuple(host.port for host in self.hosts if host.name == name)


def parse(text: str | None) -> Settings:
    """Raises ValueError or KeyError if the platform could not have written the text."""
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
