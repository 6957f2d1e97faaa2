from fastapi import FastAPI

import teams

app = FastAPI()


@app.get("/team/{name}")
def team(name: str):
    return [str(player) for player in teams.players(name)]
