import multiprocessing
import subprocess
from asyncio import create_subprocess_exec  # noqa: F401
from os import system  # noqa: F401
from subprocess import CalledProcessError

from fastapi import FastAPI

WORKERS = min(4, multiprocessing.cpu_count())
app = FastAPI()


@app.exception_handler(CalledProcessError)
async def failed(request, error):
    from fastapi.responses import JSONResponse

    return JSONResponse({"code": error.returncode}, 500)


@app.get("/pipe")
def pipe():
    return [subprocess.PIPE, WORKERS > 0]


@app.get("/fail")
def fail():
    raise CalledProcessError(3, "x")


if __name__ == "__main__":
    subprocess.run(["uvicorn", "main:app"])
