from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute

from .endpoints import Counter, Echo

application = Starlette(routes=[Route("/counter", Counter), WebSocketRoute("/echo", Echo)])
