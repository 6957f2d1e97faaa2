from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route


async def home(request: Request):
    return PlainTextResponse("home")


async def user(request: Request):
    if request.path_params["id"] == 0:
        raise HTTPException(404, "no user 0")
    return JSONResponse({"id": request.path_params["id"], "url": str(request.url_for("user", id=7))})


async def body(request: Request):
    return JSONResponse(await request.json())


def failed(request, error):
    return JSONResponse({"detail": error.detail}, error.status_code)


app = Starlette(
    routes=[
        Route("/", home),
        Mount("/api", routes=[Route("/users/{id:int}", user, name="user"), Route("/body", body, methods=["POST"])]),
    ],
    middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["*"])],
    exception_handlers={HTTPException: failed},
)
app.router.routes[1].name = None
