import os

try:
    from dotenv import load_dotenv

    load_dotenv()
except ImportError:
    pass

from fastapi import FastAPI

SECRET = os.environ.get("SECRET_KEY", "dev")
app = FastAPI()


@app.get("/secret")
def secret():
    return len(SECRET)
