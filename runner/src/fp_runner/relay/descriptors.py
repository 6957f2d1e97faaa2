"""How many connections the kernel lets the relay have."""

import resource


def allow_descriptors(wires: int) -> None:
    """Raises the limit to what so many connections take, each with two ends, as far as that may be."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Each app has a socket, an epoll and some that it refuses.
    wanted = wires + 8192
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
