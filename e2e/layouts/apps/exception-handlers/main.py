from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse

from errors import OutOfStock

app = FastAPI()


@app.exception_handler(OutOfStock)
async def out_of_stock(request: Request, error: OutOfStock):
    return JSONResponse({"item": error.item, "path": request.url.path}, 409)


@app.exception_handler(RequestValidationError)
async def invalid(request: Request, error: RequestValidationError):
    return PlainTextResponse(f"{len(error.errors())} wrong", 400)


@app.exception_handler(404)
async def missing(request: Request, error: HTTPException):
    return PlainTextResponse("nothing here", 404)


@app.get("/buy/{item}")
def buy(item: str, count: int):
    if count > 2:
        raise OutOfStock(item)
    if count == 0:
        raise HTTPException(400, {"why": "zero"}, headers={"x-why": "zero"})
    return count


@app.get("/crash")
def crash():
    return 1 / 0
