from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

app = FastAPI()
app.mount("/assets", StaticFiles(directory="public"), name="assets")


@app.get("/")
def index():
    return FileResponse("public/index.html")


@app.get("/download")
def download():
    return FileResponse("public/site.css", filename="häuser.css")
