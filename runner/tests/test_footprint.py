"""How much memory an app does not share with the zygote."""

import re
import subprocess
import sys
from pathlib import Path

import driver
from conftest import MakeApp

MIB = 1024
GAPS = """
import sys
from fp_runner import heap

kept = [bytes(100) for _ in range(20_000)]
del kept[::2]
before = dict(heap._free_blocks())
heap.prepare()
after = dict(heap._free_blocks())
# 133 bytes with the header of a bytes object: the allocator's class of 144.
print(before[144], after[144])
"""

CODE = """
import ssl
from fp_runner import heap

heap.prepare()
mapped = 0
for line in open("/proc/self/maps"):
    span, rights, _offset, _device, inode = line.split()[:5]
    if rights == "r-xp" and inode != "0":
        begin, end = (int(address, 16) for address in span.split("-"))
        mapped += end - begin
print(sum(length for _, length in heap._code), mapped)
"""


def own_memory(pid: int) -> int:
    """KiB that this process shares with no other."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(number) for number in re.findall(r"^Private_(?:Clean|Dirty):\s+(\d+)", rollup, re.M))


def test_an_awake_app_shares_most_of_its_memory(make_app: MakeApp) -> None:
    app = make_app(
        """
        from fastapi import FastAPI
        app = FastAPI()

        @app.get("/")
        async def read():
            return {"ok": True}
        """
    )
    pid = app.start().manager.wait("started", id=app.id)["pid"]
    app.ready()
    with driver.client(app.socket) as client:
        for _ in range(3):
            assert client.get("/").json() == {"ok": True}
    # It is below 9 MiB. Iterating over all modules would add 2 MiB.
    assert own_memory(pid) < 10 * MIB


def test_gaps_between_objects_are_filled_before_the_first_fork() -> None:
    script = [sys.executable, "-s", "-P", "-c", GAPS]
    told = subprocess.run(script, env={"PYTHONPATH": str(driver.SOURCE)}, capture_output=True, check=True, text=True)
    before, after = map(int, told.stdout.split())
    assert before > 9_000
    assert after < 100
    assert "class" not in told.stderr


def test_forks_map_only_the_code_that_was_used() -> None:
    script = [sys.executable, "-s", "-P", "-c", CODE]
    told = subprocess.run(script, env={"PYTHONPATH": str(driver.SOURCE)}, capture_output=True, check=True, text=True)
    used, mapped = map(int, told.stdout.split())
    # Most of OpenSSL is not used.
    assert 0 < used < 0.95 * mapped
