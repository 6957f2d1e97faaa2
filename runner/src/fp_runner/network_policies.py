"""Waits until the cluster enforces its network policies for this pod.

Some network plugins (kube-router, which k3s uses) start a pod before they enforce the policies for it. For a moment its
code could connect to addresses that the policies forbid. Every cluster has an API server, and no app may connect to it:
once the API server cannot be reached, the policies are enforced.
"""

import os
import socket
import time
from typing import Final

# An address of the cluster that can be reached answers within a few ms.
_ANSWER_SECONDS: Final = 0.1
_PAUSE_SECONDS: Final = 0.01


class NotEnforcedError(Exception):
    """The pod can still connect to the cluster's API server."""

    def __init__(self) -> None:
        super().__init__(
            "the cluster enforces no network policies, so apps could connect to its API; ask its admin to install a "
            "network plugin that enforces them, or to allow apps without isolation (FP_ALLOW_UNSANDBOXED=1)"
        )


def wait_until_enforced(seconds: float) -> None:
    """Returns once the API server cannot be reached. Raises NotEnforcedError after `seconds`. 0: does not check."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if seconds <= 0 or not host:
        return
    end = time.monotonic() + seconds
    while _answers(host, int(port)):
        if time.monotonic() > end:
            raise NotEnforcedError
        time.sleep(_PAUSE_SECONDS)


def _answers(host: str, port: int) -> bool:
    try:
        # An enforced policy refuses the connection or drops its packets.
        socket.create_connection((host, port), timeout=_ANSWER_SECONDS).close()
    except OSError:
        return False
    return True
