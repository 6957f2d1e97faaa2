import asyncio
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()


async def lines(n: int) -> AsyncIterator[bytes]:
    for i in range(n):
        yield f"line {i}\n".encode()
        await asyncio.sleep(0)


def rows():
    yield "a,b\r\n"
    yield from (f"{i},{i**2}\r\n" for i in range(3))


@app.get("/lines")
async def read(n: int = 4):
    return StreamingResponse(lines(n), media_type="text/plain")


@app.get("/rows.csv")
def csv():
    return StreamingResponse(rows(), media_type="text/csv", headers={"content-disposition": "attachment"})
