"""What can go wrong in the shop, and how a caller is told.

Services raise these errors; only this file knows which HTTP status each of them becomes.
"""

from fastapi import FastAPI, Request, status
from fastapi.responses import JSONResponse
from pymongo.errors import ConnectionFailure


class ShopError(Exception):
    """The base of all errors of the shop. `code` is for programs, the text for people."""

    code = "shop_error"
    status_code = status.HTTP_400_BAD_REQUEST


class NotFoundError(ShopError):
    code = "not_found"
    status_code = status.HTTP_404_NOT_FOUND

    def __init__(self, what: str, key: object) -> None:
        super().__init__(f"There is no {what} '{key}'.")


class ConflictError(ShopError):
    """The request is well formed, but does not fit what is stored."""

    code = "conflict"
    status_code = status.HTTP_409_CONFLICT


class OutOfStockError(ConflictError):
    code = "out_of_stock"


def error_response(status_code: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message}}, status_code)


async def handle_shop_error(request: Request, error: ShopError) -> JSONResponse:
    return error_response(error.status_code, error.code, str(error))


async def handle_database_down(request: Request, error: ConnectionFailure) -> JSONResponse:
    message = "The database does not answer. Please try again in a moment."
    return error_response(status.HTTP_503_SERVICE_UNAVAILABLE, "database_unavailable", message)


def add_error_handlers(app: FastAPI) -> None:
    app.exception_handler(ShopError)(handle_shop_error)
    app.exception_handler(ConnectionFailure)(handle_database_down)
