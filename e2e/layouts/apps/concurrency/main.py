import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor

import anyio
from fastapi import FastAPI, Request

app = FastAPI()
who = contextvars.ContextVar("who", default="nobody")
pool = ThreadPoolExecutor(2)


@app.middleware("http")
async def name(request: Request, call_next):
    who.set(request.headers.get("x-who", "anon"))
    return await call_next(request)


async def square(n):
    await asyncio.sleep(0)
    return n * n


@app.get("/gather")
async def gather():
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(square(n)) for n in range(4)]
    return [task.result() for task in tasks] + await asyncio.gather(square(9))


@app.get("/threads")
async def threads():
    loop = asyncio.get_running_loop()
    return [
        await loop.run_in_executor(pool, sum, range(10)),
        await asyncio.to_thread(max, 1, 2),
        await anyio.to_thread.run_sync(min, 1, 2),
    ]


@app.get("/who")
def read():
    return who.get()
