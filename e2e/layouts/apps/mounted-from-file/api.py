from fastapi import FastAPI

app = FastAPI(root_path_in_servers=False)


@app.get("/v")
def v():
    return {"v": 2}
