from fastapi import FastAPI

admin = FastAPI()
site = FastAPI()


@admin.get("/users")
def users():
    return ["root"]


@site.get("/")
def home():
    return "home"


site.mount("/admin", admin)
