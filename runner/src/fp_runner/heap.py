"""Prepares the memory of a process before it forks, so that its forks share as much of it as possible.

A fork shares each page with its parent until one of them writes to it and gets a copy. So forks should write to few
pages.
"""

import ctypes
import gc
import itertools
import os
import sys
from array import array
from collections.abc import Iterator
from typing import Final

from fp_runner import libc

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
# The size of an entry of /proc/self/pagemap, in bytes. Its highest bit says whether the page is mapped.
_PAGEMAP_ENTRY: Final = 8

# Objects that fill the gaps. They live as long as the process.
_fillers: list[object] = []
# The address ranges of library code: (first address, length). They are the same in forks.
_code: list[tuple[int, int]] = []


def prepare() -> None:
    """Must be the last call before the first fork."""
    gc.collect()
    _fill_gaps()
    try:
        _code[:] = _find_code()
    except OSError:
        # gVisor has no /proc/self/pagemap. Forks then map code at page faults.
        pass
    # From now on the garbage collector of a fork does not touch these objects, so their pages stay shared.
    gc.freeze()


def map_code() -> None:
    """Called in a fork. Maps the code of libraries at once, because page faults during the first request would delay
    it."""
    for begin, length in _code:
        try:
            libc.madvise(begin, length, libc.MADV_POPULATE_READ)
        except OSError:
            # Linux before 5.14 does not support it.
            return


def release_zeros(owner: object) -> None:
    """Releases the pages of an object that contain only zeros, for example in large unused buffers. The kernel provides
    them again when they are written to. No other thread may run."""
    begin = -(-id(owner) // _PAGE) * _PAGE
    end = (id(owner) + sys.getsizeof(owner)) // _PAGE * _PAGE
    zeros = bytes(_PAGE)
    for page in range(begin, end, _PAGE):
        if ctypes.string_at(page, _PAGE) == zeros:
            libc.madvise(page, _PAGE, libc.MADV_DONTNEED)


def _find_code() -> Iterator[tuple[int, int]]:
    """The code that this process has used. Much of a library's code is never used, for example that of OpenSSL."""
    with (
        open("/proc/self/maps", encoding="utf-8", errors="replace") as lines,
        open("/proc/self/pagemap", "rb", buffering=0) as pages,
    ):
        for line in lines:
            span, rights, _offset, _device, inode = line.split()[:5]
            if rights == "r-xp" and inode != "0":
                begin, end = (int(address, 16) for address in span.split("-"))
                pages.seek(begin // _PAGE * _PAGEMAP_ENTRY)
                entries = array("Q", pages.read((end - begin) // _PAGE * _PAGEMAP_ENTRY))
                for is_present, run in itertools.groupby(entries, lambda entry: entry >> 63):
                    length = sum(_PAGE for _ in run)
                    if is_present:
                        yield begin, length
                    begin += length


def _fill_gaps() -> None:
    """Fills the free blocks between Python's objects. The new objects of a fork then lie together in new pages. In
    scattered gaps they would cause a copy of a page for each gap."""
    for size, count in list(_free_blocks()):
        _fillers.extend(_filler(size) for _ in range(count))


def _filler(size: int) -> object:
    """An object that takes a block of this size. Python's allocator has blocks of multiples of 16 bytes."""
    if size == 16:
        return object()
    if size == 32:
        return float(size)
    return bytes(size - sys.getsizeof(b""))


def _free_blocks() -> Iterator[tuple[int, int]]:
    """(size, number of free blocks in used pools). Empty if the interpreter has another allocator."""
    for line in _allocator_statistics().splitlines():
        # class, size, pools, blocks in use, free blocks
        columns = line.split()
        if len(columns) == 5 and all(column.isdigit() for column in columns):
            yield int(columns[1]), int(columns[4])


def _allocator_statistics() -> str:
    """The output of sys._debugmallocstats, which exists only in CPython and only prints to stderr."""
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
