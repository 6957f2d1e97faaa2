from fastapi import FastAPI

app = FastAPI()

from app import views  # noqa: E402, F401
