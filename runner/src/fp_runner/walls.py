"""Waits until the cluster's network policies hold for this pod.

Some network plugins (kube-router, so k3s) let a pod start before its policies are in force: for a moment its code could
reach whatever they forbid. The address that every cluster has and no app may reach, the API server's, tells.
"""

import os
import socket
import time
from typing import Final

# A cluster's own address answers within a few ms, if it does.
_ANSWER_SECONDS: Final = 0.1
_PAUSE_SECONDS: Final = 0.01


class OpenWallError(Exception):
    """The pod can still reach the cluster's API server."""

    def __init__(self) -> None:
        super().__init__(
            "the cluster enforces no network policies, so apps could reach its API; its admin must use a network "
            "plugin that does, or let apps run without (FP_ALLOW_UNSANDBOXED=1)"
        )


def wait(seconds: float) -> None:
    """Returns once the API server is out of reach; raises OpenWallError when it is not after `seconds`. 0: at once."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if seconds <= 0 or not host:
        return
    end = time.monotonic() + seconds
    while _reaches(host, int(port)):
        if time.monotonic() > end:
            raise OpenWallError
        time.sleep(_PAUSE_SECONDS)


def _reaches(host: str, port: int) -> bool:
    try:
        # Refused, or never answered: either is what a policy does.
        socket.create_connection((host, port), timeout=_ANSWER_SECONDS).close()
    except OSError:
        return False
    return True
