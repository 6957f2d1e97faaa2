"""Closes the descriptors that a forked child inherits from its parent."""

import os


def close_all_but(kept: set[int]) -> None:
    """Closes every descriptor that is not in `kept`, except 0, 1 and 2."""
    low = 3
    for fd in sorted(kept):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, 2**31 - 1)
