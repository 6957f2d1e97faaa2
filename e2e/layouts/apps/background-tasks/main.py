from fastapi import BackgroundTasks, FastAPI

app = FastAPI()
sent: list[str] = []


async def send(to: str):
    sent.append(to)


@app.post("/send/{to}", status_code=202)
async def post(to: str, tasks: BackgroundTasks):
    tasks.add_task(send, to)
    return {"queued": to}


@app.get("/sent")
async def read():
    return sent
