"""Raises the limit on open files for the relay."""

import resource


def allow_descriptors(pairs: int) -> None:
    """Raises the soft limit to what `pairs` connections need, with two sockets each, as far as the hard limit
    allows."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Each app also has a listener, an epoll and some refused connections.
    wanted = pairs + 8192
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
