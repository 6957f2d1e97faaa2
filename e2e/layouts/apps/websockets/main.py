from fastapi import FastAPI, WebSocket, WebSocketDisconnect

app = FastAPI()


class Rooms:
    def __init__(self):
        self.seen = 0


rooms = Rooms()


@app.websocket("/ws/{room}")
async def talk(socket: WebSocket, room: str):
    await socket.accept()
    try:
        while True:
            text = await socket.receive_text()
            rooms.seen += 1
            await socket.send_json({"room": room, "text": text.upper()})
    except WebSocketDisconnect:
        pass


@app.get("/plain")
def plain():
    return "http too"
