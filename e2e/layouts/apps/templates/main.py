from pathlib import Path

from fastapi import FastAPI, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.templating import Jinja2Templates

templates = Jinja2Templates(directory=Path(__file__).parent / "templates")
app = FastAPI()
names = ["Ann", "<Bob>"]


@app.get("/", response_class=HTMLResponse, name="home")
def home(request: Request):
    return templates.TemplateResponse(request, "home.html", {"names": names})


@app.post("/add")
def add(request: Request, name: str = Form()):
    return RedirectResponse(request.url_for("home"), 303)
