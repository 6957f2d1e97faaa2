"""Which network apps get on this machine."""

from dataclasses import dataclass, replace
from typing import Literal

from fp_runner.means import Means
from fp_runner.network.host import RESOLVER
from fp_runner.network.report import NetworkReport
from fp_runner.network.settings import Settings

Way = Literal["filtered", "user-mode", "isolated", "shared"]


@dataclass(frozen=True)
class Plan:
    """How apps are connected.

    filtered: a network of their own, joined to the machine's behind its firewall; needs root.
    user-mode: a network of their own, joined by a process for each app (passt) that the machine's user runs.
    isolated: a network of their own with nothing behind it.
    shared: the machine's, with whatever Landlock forbids.
    """

    way: Way
    # Why it is not a better one. None: it is what was asked for.
    why: str | None = None
    # What the admin should know of it all the same.
    notes: tuple[str, ...] = ()

    @property
    def own(self) -> bool:
        """Whether apps are kept apart from the machine's network."""
        return self.way != "shared"

    @property
    def resolver(self) -> str | None:
        """The DNS server of apps where it is not the machine's."""
        return RESOLVER if self.own else None

    def wire(self) -> dict[str, object]:
        """The "network" of the sandbox report."""
        return {"way": self.way, "notes": list(self.notes)}

    def reported(self, means: Means) -> Means:
        """The means with what became of the network."""
        if self.own:
            return means
        return replace(means, network=False, why=means.why | {"network": self.why or "unknown"})


def plan(settings: Settings, means: Means, joined: NetworkReport | None) -> Plan:
    """The best that there is. `joined` says whether the helper process can join networks to the machine's."""
    if not means.network:
        return Plan("shared", means.why.get("network", "unknown"))
    if settings.mode == "none":
        return Plan("isolated")
    if joined is None:
        return Plan("shared", "the runner is not root")
    if joined.why:
        return Plan("shared", joined.why)
    return Plan("filtered", notes=joined.notes)
