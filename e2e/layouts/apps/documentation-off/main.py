from fastapi import FastAPI

app = FastAPI(docs_url=None, redoc_url="/manual", openapi_url="/schema.json", version="2.0.1")


@app.get("/hidden", include_in_schema=False)
def hidden():
    return 1
