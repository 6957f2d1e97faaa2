from fastapi import FastAPI, Request

app = FastAPI()


@app.api_route("/echo/{rest:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
async def echo(request: Request, rest: str):
    body = await request.body()
    return {
        "method": request.method,
        "path": request.url.path,
        "query": sorted(request.query_params.multi_items()),
        "type": request.headers.get("content-type"),
        "size": len(body),
        "text": body.decode("utf-8", "replace"),
    }


@app.post("/stream")
async def stream(request: Request):
    return sum([len(chunk) async for chunk in request.stream()])
