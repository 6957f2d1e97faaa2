from fastapi import FastAPI

import markdown
from services import email, types

app = FastAPI()


@app.get("/")
def index():
    return [markdown.render("*x*"), email.send("ann"), types.KIND, __file__.rsplit("/", 1)[-1]]
