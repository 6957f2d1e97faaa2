"""The networks of all apps, as the helper process keeps them: some made ahead, each by the name of its app."""

import os
import time
from collections import deque
from ipaddress import IPv4Address
from typing import Final

from fp_runner.network.host import AppNetwork, HostNetwork
from fp_runner.network.resolver_process import ResolverProcess
from fp_runner.network.settings import Settings
from fp_runner.reactor import Reactor

# As many as a burst of wakes may want before the next is made.
_STOCK: Final = 4
_ATTEMPTS: Final = 3
# Names that have been let through are not let through anew at each lookup. Well below what the firewall remembers.
_REMEMBERED_SECONDS: Final = 600.0
_MAX_REMEMBERED: Final = 10_000


class AppNetworks:
    """Raises OSError where the machine cannot keep apps' networks apart."""

    def __init__(self, settings: Settings, reactor: Reactor) -> None:
        self._settings = settings
        self._host = HostNetwork(settings)
        self._stock: deque[AppNetwork] = deque()
        self._apps: dict[str, AppNetwork] = {}
        self._allowed_until: dict[tuple[str, IPv4Address], float] = {}
        self.notes = self._host.notes
        try:
            self._resolver = ResolverProcess(settings, reactor, self._allow)
        except OSError:
            self._host.close()
            raise

    def take(self, name: str) -> int:
        """The namespace of a new network for the app `name`; the descriptor is the caller's. Raises OSError."""
        network = self._stock.popleft() if self._stock else self._make()
        self._apps[name] = network
        self._resolver.add(name, network.resolver)
        return network.namespace

    def remove(self, name: str) -> None:
        """After the app's end. The kernel takes the pair away with the namespace."""
        network = self._apps.pop(name, None)
        if network is None:
            return
        self._resolver.remove(name)
        network.close_resolver()
        self._host.give_back(network)

    def prepare(self) -> bool:
        """Makes one ahead of time. False when there are enough, or no more can be had."""
        if len(self._stock) >= _STOCK:
            return False
        try:
            self._stock.append(self._make())
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Takes everything away. No app runs any more."""
        for network in self._stock:
            os.close(network.namespace)
            network.close_resolver()
        for network in self._apps.values():
            network.close_resolver()
        self._resolver.close()
        self._host.close()

    def _allow(self, name: str, found: list[IPv4Address]) -> None:
        """Raises OSError where the firewall does not take it."""
        ports = self._settings.ports_of(name)
        now = time.monotonic()
        fresh = [ip for ip in found if self._allowed_until.get((name, ip), 0.0) < now]
        if fresh and ports:
            if len(self._allowed_until) > _MAX_REMEMBERED:
                self._allowed_until.clear()
            self._host.allow(fresh, ports)
            self._allowed_until |= dict.fromkeys(((name, ip) for ip in fresh), now + _REMEMBERED_SECONDS)

    def _make(self) -> AppNetwork:
        for _ in range(_ATTEMPTS - 1):
            try:
                return self._host.make()
            except FileExistsError:
                # An interface of this number is on its way out still.
                continue
        return self._host.make()
