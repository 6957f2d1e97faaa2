from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.responses import PlainTextResponse


class Counter(HTTPEndpoint):
    async def get(self, request):
        return PlainTextResponse("0")

    async def post(self, request):
        return PlainTextResponse(str(len(await request.body())), 201)


class Echo(WebSocketEndpoint):
    encoding = "text"

    async def on_receive(self, websocket, data):
        await websocket.send_text(f"echo {data}")
