"""The networks of all apps, as the helper process keeps them: some are created ahead, the others belong to an app."""

import os
import time
from collections import deque
from ipaddress import IPv4Address
from typing import Final

from fp_runner.network.host import AppNetwork, HostNetwork
from fp_runner.network.resolver_process import ResolverProcess
from fp_runner.network.settings import Settings
from fp_runner.reactor import Reactor

# How many networks are created ahead: as many as a burst of wakes may need before the next one is ready.
_STOCK: Final = 4
_ATTEMPTS: Final = 3
# For this long, a lookup does not add the same address of an allowed name to the firewall again. Well below the time
# for which the firewall keeps an address.
_REMEMBERED_SECONDS: Final = 600.0
_MAX_REMEMBERED: Final = 10_000


class AppNetworks:
    """Raises OSError if this machine cannot give apps networks of their own."""

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
        """Returns the namespace of a network for the app `name`. The caller owns the descriptor. Raises OSError."""
        network = self._stock.popleft() if self._stock else self._make()
        self._apps[name] = network
        self._resolver.add(name, network.resolver)
        return network.namespace

    def remove(self, name: str) -> None:
        """Called after the app's end. The kernel removes the veth pair with the namespace."""
        network = self._apps.pop(name, None)
        if network is None:
            return
        self._resolver.remove(name)
        network.close_resolver()
        self._host.give_back(network)

    def prepare(self) -> bool:
        """Creates one network ahead. Returns False if there are enough, or if creating one has failed."""
        if len(self._stock) >= _STOCK:
            return False
        try:
            self._stock.append(self._make())
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Removes everything. Called when no app runs any more."""
        for network in self._stock:
            os.close(network.namespace)
            network.close_resolver()
        for network in self._apps.values():
            network.close_resolver()
        self._resolver.close()
        self._host.close()

    def _allow(self, name: str, found: list[IPv4Address]) -> None:
        """Raises OSError if the firewall rejects the addresses."""
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
                # The kernel has not yet removed an earlier interface with this number.
                continue
        return self._host.make()
