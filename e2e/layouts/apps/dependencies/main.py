from typing import Annotated

from fastapi import Depends, FastAPI, Header, Query

app = FastAPI()
log: list[str] = []


async def session():
    log.append("open")
    yield "session"
    log.append("close")


class Page:
    def __init__(self, skip: int = 0, limit: Annotated[int, Query(le=50)] = 10):
        self.skip, self.limit = skip, limit


def agent(user_agent: Annotated[str | None, Header()] = None):
    return user_agent


@app.get("/page")
async def page(page: Annotated[Page, Depends()], db: Annotated[str, Depends(session)]):
    return {"skip": page.skip, "limit": page.limit, "db": db}


@app.get("/log")
async def read():
    return log


@app.get("/agent")
def who(name: Annotated[str, Depends(agent)], tag: Annotated[list[str] | None, Query()] = None):
    return [name, tag]
