"""Decides what network access apps get on this machine."""

from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Self

from fp_runner import landlock
from fp_runner.isolation import Mechanisms
from fp_runner.network.report import NetworkReport
from fp_runner.network.settings import RESOLVER, Settings

# What apps usually connect to: DNS, HTTP and HTTPS.
_USUAL_PORTS: Final = (53, 80, 443)

Kind = Literal["filtered", "isolated", "shared", "refused"]


@dataclass(frozen=True)
class NetworkAccess:
    """The network access of apps.

    filtered: a network of their own, which is connected to the machine's network through its firewall; needs root.
    isolated: a network of their own without any connection.
    shared: the machine's network, limited by Landlock if the kernel has it.
    refused: the admin has limited the network and this machine cannot enforce the limit, so no app may run.
    """

    kind: Kind
    # The TCP ports that Landlock lets apps connect to. None: Landlock does not limit ports.
    ports: tuple[int, ...] | None = None
    # Why there is no better access. None: it is what the admin asked for.
    why: str | None = None
    # What the admin should know about this access.
    notes: tuple[str, ...] = ()

    @property
    def own(self) -> bool:
        """Whether apps are separated from the machine's network."""
        return self.kind in ("filtered", "isolated")

    @property
    def resolver(self) -> str | None:
        """The DNS server of apps if it is not the machine's."""
        return RESOLVER if self.own else None

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Restores an object that was written as JSON with `asdict`."""
        ports = fields["ports"]
        return cls(**fields | {"ports": None if ports is None else tuple(ports), "notes": tuple(fields["notes"])})

    def report(self) -> dict[str, object]:
        """The entry "network" of the isolation report."""
        return {"way": self.kind, "notes": list(self.notes)}

    def reported(self, mechanisms: Mechanisms) -> Mechanisms:
        """Adds the result for the network to the mechanisms."""
        if self.own:
            return mechanisms
        return replace(mechanisms, network=False, why=mechanisms.why | {"network": self.why or "unknown"})


def choose(settings: Settings, mechanisms: Mechanisms, joined: NetworkReport | None) -> NetworkAccess:
    """Chooses the best possible access. `joined`: whether the helper process can connect networks to the machine's."""
    if not mechanisms.network:
        return _not_apart(settings, mechanisms.why.get("network", "unknown"))
    if settings.mode == "none":
        return NetworkAccess("isolated")
    if joined is None:
        return _not_apart(settings, "the runner is not root")
    if joined.why:
        return _not_apart(settings, joined.why)
    return NetworkAccess("filtered", notes=joined.notes)


def _not_apart(settings: Settings, why: str) -> NetworkAccess:
    """The access without networks for each app. Only the mode "internet" falls back to the machine's network."""
    if settings.mode != "internet":
        return NetworkAccess("refused", why=why)
    if not landlock.limits_ports():
        note = "Landlock (Linux 6.7) is missing too, so apps reach every port."
        return NetworkAccess("shared", why=why, notes=(note,))
    listed = [entry.port for entry in settings.networks] + [entry.port for entry in settings.hosts]
    ports = tuple(sorted({*_USUAL_PORTS, *(port for port in listed if port is not None)}))
    note = f"Landlock limits TCP connections to ports {', '.join(map(str, ports))}, on any address; UDP is not limited."
    return NetworkAccess("shared", ports, why, (note,))
