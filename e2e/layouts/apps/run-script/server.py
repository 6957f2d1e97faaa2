from fastapi import FastAPI

app = FastAPI()


@app.get("/s")
def s():
    return "served"
