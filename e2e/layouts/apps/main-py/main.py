from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def root():
    return {"message": "Hello World"}


@app.get("/where")
async def where():
    return [__name__, __package__ or ""]
