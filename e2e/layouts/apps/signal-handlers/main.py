import atexit
import signal
import threading

from fastapi import FastAPI

stopping = threading.Event()


def stop(number, frame):
    stopping.set()


signal.signal(signal.SIGUSR1, stop)
signal.signal(signal.SIGTERM, stop)
atexit.register(stopping.set)
app = FastAPI()


@app.get("/")
def index():
    return {"stopping": stopping.is_set(), "handler": signal.getsignal(signal.SIGUSR1) is stop}
