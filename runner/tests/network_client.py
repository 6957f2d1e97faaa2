"""An app that uses its network as a test asks it to, and functions that observe the effects from outside."""

import json
import os
import select
from pathlib import Path
from typing import Any

import driver
from conftest import App
from world import PORT, PUBLIC, World

CLIENT = f"""
import errno, select, socket, struct
from fastapi import FastAPI
app = FastAPI()
here = []

def outcome(work):
    try:
        return work()
    except socket.gaierror as error:
        return "no such name" if error.errno == socket.EAI_NONAME else str(error)
    except TimeoutError:
        return "timeout"
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))

@app.get("/tcp/{{host}}/{{port}}")
def tcp(host: str, port: int):
    def work():
        with socket.create_connection((host, port), 3) as stream:
            return stream.recv(100).decode()
    return outcome(work)

@app.get("/udp/{{host}}")
def udp(host: str):
    def work():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            line.settimeout(1)
            line.connect((host, {PORT}))
            line.send(b"x")
            return line.recv(100).decode()
    return outcome(work)

@app.get("/name/{{name}}")
def name(name: str):
    return outcome(lambda: socket.gethostbyname(name))

@app.get("/bind/{{name}}")
def bind(name: str):
    line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    here.append(line)
    return outcome(lambda: line.bind("\\0" + name))

@app.get("/abstract/{{name}}")
def abstract(name: str):
    line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    return outcome(lambda: line.connect("\\0" + name))

@app.get("/bound/{{host}}")
def bound(host: str):
    def work():
        with socket.socket() as stream:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
            stream.setsockopt(socket.SOL_SOCKET, 5, 1)  # SO_DONTROUTE
            stream.settimeout(1)
            stream.connect((host, {PORT}))
            return "connected"
    return outcome(work)

@app.get("/flood/{{host}}/{{port}}/{{count}}")
def flood(host: str, port: int, count: int):
    tried = []
    for _ in range(count):
        stream = socket.socket()
        stream.setblocking(False)
        stream.connect_ex((host, port))
        tried.append(stream)
    poll = select.poll()
    for stream in tried:
        poll.register(stream, select.POLLOUT)
    made = set()
    while found := [fd for fd, event in poll.poll(500) if not event & (select.POLLERR | select.POLLHUP)]:
        made.update(found)
        for fd in found:
            poll.unregister(fd)
    return len(made)

def question(name: str) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!6H", 1, 256, 1, 0, 0, 0) + labels + b"\\0" + struct.pack("!HH", 1, 1)

@app.get("/ask/{{count}}")
def ask(count: int):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        for _ in range(count):
            line.sendto(question("public.test"), ("127.0.0.1", 53))
    return count

@app.get("/name-by-tcp/{{name}}")
def name_by_tcp(name: str):
    with socket.create_connection(("127.0.0.1", 53), 5) as stream:
        query = question(name)
        stream.sendall(len(query).to_bytes(2) + query)
        answer = stream.recv(600)
    return socket.inet_ntoa(answer[-4:])

@app.get("/own")
def own():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.connect(("{PUBLIC}", 9))
        return line.getsockname()[0]

@app.get("/udp-listen")
def udp_listen():
    line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    here.append(line)
    return outcome(lambda: line.bind(("0.0.0.0", {PORT})))
"""


def settings(mode: str = "internet", allowed: list[Any] | None = None, mongodb: str | None = None) -> dict[str, str]:
    wire = {"mode": mode, "allowed": allowed or [], "addresses": None, "mongodb": mongodb}
    return {"FP_NETWORK": json.dumps(wire)}


def ask(app: App, path: str) -> Any:
    answer = app.get(path)
    assert answer.status_code == 200, app.output()
    return answer.json()


def traces(world: World) -> list[str]:
    links = [line for line in world.output("ip", "-o", "link").splitlines() if ": fp" in line]
    return [*links, world.output("nft", "list", "tables").strip(), world.forwarding()]


def helpers_of(manager: driver.Manager) -> list[int]:
    """The helper process, its resolver and the zygote: the descendants without a pid namespace of their own."""
    own = os.readlink(f"/proc/{manager.process.pid}/ns/pid")
    found, look = [], [manager.process.pid]
    while look:
        pid = look.pop()
        children = [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        mine = [child for child in children if os.readlink(f"/proc/{child}/ns/pid") == own]
        found += mine
        look += mine
    return found


def wait_until_ended(pids: list[int], seconds: float = 20) -> None:
    for pid in pids:
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        assert select.select([fd], [], [], seconds)[0], "still there"
        os.close(fd)
