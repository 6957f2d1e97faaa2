import orjson
from fastapi import FastAPI, Response, status
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse

app = FastAPI(default_response_class=JSONResponse)


@app.get("/html", response_class=HTMLResponse)
def html():
    return "<h1>Grüße</h1>"


@app.get("/orjson")
def fast():
    return Response(orjson.dumps({"a": [1.5, None], "b": "ü"}), media_type="application/json")


@app.get("/moved")
def moved():
    return RedirectResponse("/html?x=1", status.HTTP_301_MOVED_PERMANENTLY)


@app.delete("/thing", status_code=204)
def delete():
    return Response(status_code=204)


@app.get("/teapot")
def teapot():
    return PlainTextResponse("short and stout", 418, {"x-spout": "1"})
