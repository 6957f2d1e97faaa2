"""No user's data is in another user's memory: an app searches all its memory for data that other apps were given."""

import re
import secrets
from pathlib import Path
from typing import Any

import pytest

import driver
from conftest import App, MakeApp

# The pattern itself has no sixteen digits, so the search does not find it.
SEARCH = """
    import gc, os, re
    from fastapi import FastAPI, Request
    app = FastAPI()
    TOKEN = re.compile(rb"canary-[a-z]+-[0-9a-f]{16}")

    def search_memory():
        found, searched = set(), 0
        with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", buffering=0) as memory:
            for line in maps:
                bounds, rights = line.split()[:2]
                first, last = (int(bound, 16) for bound in bounds.split("-"))
                if not rights.startswith("r") or "[v" in line:
                    continue
                memory.seek(first)
                # In pieces that overlap, so that a token across two of them is found.
                for start in range(first, last, 1 << 20):
                    try:
                        memory.seek(start)
                        piece = memory.read(min((1 << 20) + 64, last - start))
                    except OSError:
                        break
                    searched += len(piece)
                    found |= set(TOKEN.findall(piece))
        return found, searched

    def search_descriptors():
        found = set()
        for name in os.listdir("/proc/self/fd"):
            try:
                fd = os.open(f"/proc/self/fd/{name}", os.O_RDONLY | os.O_NONBLOCK)
                found |= set(TOKEN.findall(os.pread(fd, 1 << 22, 0)))
                os.close(fd)
            except OSError:
                continue
        return found

    def search_objects():
        text = repr([item for item in gc.get_objects() if isinstance(item, (dict, list, tuple, set))][:100_000])
        return set(TOKEN.findall(text.encode(errors="replace")))

    @app.post("/own")
    async def own(request: Request):
        return len(await request.body())

    @app.get("/search")
    def search():
        found, searched = search_memory()
        found |= search_descriptors() | search_objects()
        return {"found": sorted(token.decode() for token in found), "searched": searched}
"""


def canary(kind: str) -> str:
    return f"canary-{kind}-{secrets.token_hex(8)}"


def _victim(make_app: MakeApp, tenant: str, code: str, **files: str) -> tuple[App, dict[str, str]]:
    kinds = ("environment", "uri", "file", "code", "body", "log")
    tokens = {kind: canary(kind) for kind in kinds}
    app = make_app(
        name=f"{tenant}-{len(files)}",
        files={"app.py": code.replace("CODE", tokens["code"]), f"{tokens['file']}.py": f"TEXT = {tokens['code']!r}"},
    )
    app.start(
        env={
            "SECRET": tokens["environment"],
            "PLATFORM_MONGO_URI": f"mongodb://app:{tokens['uri']}@localhost:27017/db",
        }
    )
    return app, tokens


SERVES = """
    import os
    from fastapi import FastAPI, Request
    app = FastAPI()
    TEXT = "CODE"
    print(os.environ["SECRET"])

    @app.post("/")
    async def read(request: Request):
        return len(await request.body())
"""
FAILS = """
    import os
    raise ValueError("CODE " + os.environ["SECRET"])
"""


def test_an_app_finds_no_data_of_other_users_in_its_memory(make_app: MakeApp) -> None:
    serving, tokens = _victim(make_app, "serving", SERVES)
    with driver.client(serving.ready().socket) as client:
        client.post("/", content=tokens["body"])
    failing, _ = _victim(make_app, "failing", FAILS)
    assert "canary-" in failing.failed()["message"]
    gone, _ = _victim(make_app, "gone", SERVES)
    gone.ready().kill()

    # Several apps, so that the search covers both spares from before the others' starts and later forks.
    for number in range(3):
        own = canary("own")
        searcher = make_app(SEARCH, name=f"searcher{number}").start(env={"OWN": own}).ready()
        result: dict[str, Any] = searcher.get("/search").json()
        # The search works: it finds the app's own token among many megabytes.
        assert own in result["found"]
        assert result["searched"] > 20_000_000
        assert [token for token in result["found"] if token != own] == []


def test_the_zygote_has_no_data_of_users_in_its_memory(make_app: MakeApp, shared_manager: driver.Manager) -> None:
    serving, tokens = _victim(make_app, "serving", SERVES)
    serving.ready()
    zygote = _child_named(shared_manager.process.pid, "fp_runner.zygote")
    assert tokens["environment"] in _memory_tokens(shared_manager.process.pid)
    assert _memory_tokens(zygote) == set()


def _child_named(parent: int, module: str) -> int:
    for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        if module in Path(f"/proc/{pid}/cmdline").read_text():
            return int(pid)
    raise AssertionError(f"{parent} has no child {module}")


def _memory_tokens(pid: int) -> set[str]:
    found: set[bytes] = set()
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            first, last = (int(bound, 16) for bound in line.split()[0].split("-"))
            if not line.split()[1].startswith("rw"):
                continue
            memory.seek(first)
            try:
                found |= set(re.findall(rb"canary-[a-z]+-[0-9a-f]{16}", memory.read(last - first)))
            except OSError:
                continue
    return {token.decode() for token in found}


# What an app's code writes to its control channel (the socket `control`) before it is ready.
ATTACKS = {
    "phases again and again": 'control.send(b\'{"event":"phase","phase":"sandboxed"}\')',
    "a phase too early": 'control.send(b\'{"event":"phase","phase":"ready"}\')',
    "descriptors": "socket.send_fds(control, [b'{}'], [0, 1, 2])",
    "descriptors without end": '[socket.send_fds(control, [b\'{"event":"none"}\'], [0] * 200) for _ in range(50)]',
    "deep nesting": "control.send(b'[' * 60_000)",
    "deep objects": "control.send(b'{\"a\":' * 20_000)",
    "no JSON": "control.send(b'\\xff\\xfe')",
    "too long": "control.send(b' ' * 200_000)",
    "numbers without end": "control.send(b'{\"event\":' + b'9' * 100_000 + b'}')",
    "an unknown event": 'control.send(json.dumps({"event": "exited"}).encode())',
}
WRITES = """
    import json, os, socket
    from fastapi import FastAPI
    app = FastAPI()

    def control_channel():
        for name in os.listdir("/proc/self/fd"):
            try:
                found = socket.socket(fileno=os.dup(int(name)))
            except OSError:
                continue
            if found.family == socket.AF_UNIX and found.type == socket.SOCK_SEQPACKET:
                return found
        raise SystemExit("there is no control channel")

    control = control_channel()
"""


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_an_app_that_writes_to_its_control_channel_ends_without_harming_others(
    make_app: MakeApp, shared_manager: driver.Manager, attack: str
) -> None:
    neighbour = make_app(SERVES, name="neighbour").start(env={"SECRET": "none"}).ready()
    before = _descriptors(shared_manager.process.pid)
    attacker = make_app(f"{WRITES}    {attack}\n    import time; time.sleep(60)\n", name="attacker").start()
    failure = attacker.failed()
    assert "control channel" in failure["message"]
    with driver.client(neighbour.socket) as client:
        assert client.post("/", content="four").json() == 4
    assert make_app(SERVES, name="later").start(env={"SECRET": "none"}).ready().kill()["reason"] == "killed"
    # The margin is for spares that start and end. A successful attack would leave hundreds.
    assert _descriptors(shared_manager.process.pid) < before + 50


def test_a_flood_of_messages_after_the_start_is_not_read(make_app: MakeApp, shared_manager: driver.Manager) -> None:
    flood = """
    import threading

    def flood():
        control.setblocking(True)
        while True:
            socket.send_fds(control, [b'{"event":"phase","phase":"ready"}' * 1000], [0] * 100)

    @app.get("/")
    def start():
        threading.Thread(target=flood, daemon=True).start()
        return "flooding"
"""
    attacker = make_app(WRITES + flood, name="attacker").start().ready()
    assert attacker.get("/").json() == "flooding"
    before = _used(shared_manager.process.pid)
    for number in range(3):
        app = make_app(SERVES, name=f"app{number}").start(env={"SECRET": "none"}).ready()
        assert app.kill()["reason"] == "killed"
    # The manager used little CPU time for three starts, so it read no message of the flood.
    assert _used(shared_manager.process.pid) - before < 100
    assert attacker.get("/").json() == "flooding"


def _descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _used(pid: int) -> int:
    """The CPU time in ticks (hundredths of a second)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_a_fresh_interpreter_shares_no_address_layout(tmp_path: Path) -> None:
    code = """
        from fastapi import FastAPI
        app = FastAPI()

        @app.get("/")
        def read():
            return [id(object), hash("text")]
    """
    manager = driver.Manager(arguments=("-m", "fp_runner.manager", "--fresh-interpreters"))
    apps = [App(manager, tmp_path, f"app{number}", {"app.py": code}).start().ready() for number in range(2)]
    (one_id, one_hash), (two_id, two_hash) = (app.get("/").json() for app in apps)
    assert one_id != two_id
    assert one_hash != two_hash
    for app in apps:
        assert app.stop()["reason"] == "stopped"
    manager.close()
    assert manager.process.returncode == 0
