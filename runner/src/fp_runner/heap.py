"""Makes the memory of a process that is about to be forked ready to be shared with its forks.

A fork shares each page with its parent until one of the two writes to it; then it gets a copy. So forks should write
to few pages.
"""

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from typing import Final

from fp_runner import libc

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")

# Objects that fill the gaps. They live as long as the process.
_fillers: list[object] = []
# Where the code of libraries lies: (first address, length). Forks have it at the same place.
_code: list[tuple[int, int]] = []


def prepare() -> None:
    """Call it last before the first fork."""
    gc.collect()
    _fill_gaps()
    _code[:] = _find_code()
    # Collections in a fork now leave these objects, and their pages, alone.
    gc.freeze()


def map_code() -> None:
    """In a fork: maps the code of libraries at once. Page by page, as it runs, it would delay the first request."""
    for begin, length in _code:
        try:
            libc.madvise(begin, length, libc.MADV_POPULATE_READ)
        except OSError:
            # Linux before 5.14.
            return


def release_zeros(owner: object) -> None:
    """Gives back those pages within an object that hold nothing but zeros, as large buffers do that are not used yet.
    The kernel provides them again when somebody writes. No other thread may run."""
    begin = -(-id(owner) // _PAGE) * _PAGE
    end = (id(owner) + sys.getsizeof(owner)) // _PAGE * _PAGE
    zeros = bytes(_PAGE)
    for page in range(begin, end, _PAGE):
        if ctypes.string_at(page, _PAGE) == zeros:
            libc.madvise(page, _PAGE, libc.MADV_DONTNEED)


def _find_code() -> Iterator[tuple[int, int]]:
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            span, rights, _offset, _device, inode = line.split()[:5]
            if rights == "r-xp" and inode != "0":
                begin, end = (int(address, 16) for address in span.split("-"))
                yield begin, end - begin


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
