"""Makes the memory of a process that is about to be forked ready to be shared with its forks.

A fork shares each page with its parent until one of the two writes to it; then it gets a copy. So forks should write
to few pages.
"""

import gc
import os
import sys
from collections.abc import Iterator

# Objects that fill the gaps. They live as long as the process.
_fillers: list[object] = []


def prepare() -> None:
    """Call it last before the first fork."""
    gc.collect()
    _fill_gaps()
    # Collections in a fork now leave these objects, and their pages, alone.
    gc.freeze()


def _fill_gaps() -> None:
    """Fills the free blocks between Python's objects. New objects of a fork then lie together, in pages of their own,
    and not in a gap here and a gap there: that would copy a page for each."""
    for size, count in list(_free_blocks()):
        _fillers.extend(_filler(size) for _ in range(count))


def _filler(size: int) -> object:
    """An object that takes a block of this size, of those that Python's allocator has: multiples of 16."""
    if size == 16:
        return object()
    if size == 32:
        return float(size)
    return bytes(size - sys.getsizeof(b""))


def _free_blocks() -> Iterator[tuple[int, int]]:
    """(size, how many are free in pools that are in use). Empty where the interpreter has another allocator."""
    for line in _allocator_statistics().splitlines():
        # class, size, pools, blocks in use, free blocks
        columns = line.split()
        if len(columns) == 5 and all(column.isdigit() for column in columns):
            yield int(columns[1]), int(columns[4])


def _allocator_statistics() -> str:
    """What sys._debugmallocstats prints: only CPython has it, and it prints to stderr alone."""
    print_statistics = getattr(sys, "_debugmallocstats", None)
    if print_statistics is None:
        return ""
    stderr = os.dup(2)
    with open(os.memfd_create("fp-allocator"), "w+b", buffering=0) as printed:
        os.dup2(printed.fileno(), 2)
        try:
            print_statistics()
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
        printed.seek(0)
        return printed.read().decode()
