import hashlib
from typing import Annotated

from fastapi import FastAPI, File, Form, UploadFile

app = FastAPI()


@app.post("/login")
def login(user: Annotated[str, Form()], remember: Annotated[bool, Form()] = False):
    return {"user": user, "remember": remember}


@app.post("/upload")
async def upload(file: UploadFile, note: Annotated[str, Form()] = ""):
    data = await file.read()
    return {"name": file.filename, "size": len(data), "sha": hashlib.sha256(data).hexdigest()[:8], "note": note}


@app.post("/raw")
def raw(file: Annotated[bytes, File()]):
    return len(file)
