from fastapi import FastAPI

server = FastAPI()


@server.get("/ping")
def ping():
    return "pong"
