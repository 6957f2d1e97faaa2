"""What a forked child keeps of the descriptors of its parent."""

import os


def close_all_but(kept: set[int]) -> None:
    """Closes every descriptor that is not in `kept`; 0, 1 and 2 stay."""
    low = 3
    for fd in sorted(kept):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, 2**31 - 1)
