from fastapi import FastAPI

app = FastAPI()


@app.get("/second")
def second():
    return 2
