"""Which network apps get on this machine."""

from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Self

from fp_runner import landlock
from fp_runner.isolation import Mechanisms
from fp_runner.network.report import NetworkReport
from fp_runner.network.settings import RESOLVER, Settings

# What most of the internet is: names, pages, encrypted pages.
_USUAL_PORTS: Final = (53, 80, 443)

Way = Literal["filtered", "isolated", "shared", "refused"]


@dataclass(frozen=True)
class Plan:
    """How apps are connected.

    filtered: a network of their own, joined to the machine's behind its firewall; needs root.
    isolated: a network of their own with nothing behind it.
    shared: the machine's, with whatever Landlock forbids.
    refused: the admin has limited what apps reach and this machine cannot enforce it, so no app may run.
    """

    way: Way
    # The ports that Landlock lets apps connect to over TCP; None: it does not say.
    ports: tuple[int, ...] | None = None
    # Why it is not a better one. None: it is what was asked for.
    why: str | None = None
    # What the admin should know of it all the same.
    notes: tuple[str, ...] = ()

    @property
    def own(self) -> bool:
        """Whether apps are kept apart from the machine's network."""
        return self.way in ("filtered", "isolated")

    @property
    def resolver(self) -> str | None:
        """The DNS server of apps where it is not the machine's."""
        return RESOLVER if self.own else None

    @classmethod
    def from_wire(cls, fields: dict[str, Any]) -> Self:
        """From `asdict` that has been JSON."""
        ports = fields["ports"]
        return cls(**fields | {"ports": None if ports is None else tuple(ports), "notes": tuple(fields["notes"])})

    def wire(self) -> dict[str, object]:
        """The "network" of the isolation report."""
        return {"way": self.way, "notes": list(self.notes)}

    def reported(self, mechanisms: Mechanisms) -> Mechanisms:
        """The mechanisms with the result for the network."""
        if self.own:
            return mechanisms
        return replace(mechanisms, network=False, why=mechanisms.why | {"network": self.why or "unknown"})


def plan(settings: Settings, mechanisms: Mechanisms, joined: NetworkReport | None) -> Plan:
    """The best that there is. `joined` says whether the helper process can join networks to the machine's."""
    if not mechanisms.network:
        return _not_apart(settings, mechanisms.why.get("network", "unknown"))
    if settings.mode == "none":
        return Plan("isolated")
    if joined is None:
        return _not_apart(settings, "the runner is not root")
    if joined.why:
        return _not_apart(settings, joined.why)
    return Plan("filtered", notes=joined.notes)


def _not_apart(settings: Settings, why: str) -> Plan:
    """Where apps cannot have networks of their own. Only the default falls back to the machine's."""
    if settings.mode != "internet":
        return Plan("refused", why=why)
    if not landlock.limits_ports():
        return Plan("shared", why=why, notes=("Landlock (Linux 6.7) is not there either: they reach every port.",))
    listed = [entry.port for entry in settings.networks] + [entry.port for entry in settings.hosts]
    ports = tuple(sorted({*_USUAL_PORTS, *(port for port in listed if port is not None)}))
    note = f"Landlock limits their TCP connections to {', '.join(map(str, ports))}, on any address; UDP is not limited."
    return Plan("shared", ports, why, (note,))
