"""Hello API: the smallest useful FastAPI app.

FastAPI reads the type hints of each function, checks the incoming request against them,
and answers with a clear error (422) if something does not fit. Open /docs to see every
route described, with a form to try it.
"""

from enum import StrEnum
from typing import Annotated

from fastapi import FastAPI, Path, Query
from pydantic import BaseModel, Field

app = FastAPI(title="Hello API", version="1.0.0")

Name = Annotated[str, Path(min_length=1, max_length=50, description="Who to greet")]


class Language(StrEnum):
    """The languages we can say hello in."""

    ENGLISH = "english"
    FRENCH = "french"
    SWAHILI = "swahili"


HELLO = {Language.ENGLISH: "Hello", Language.FRENCH: "Bonjour", Language.SWAHILI: "Habari"}


class GreetingRequest(BaseModel):
    """The JSON body of POST /greetings."""

    name: str = Field(min_length=1, max_length=50, examples=["Ada"])
    language: Language = Language.ENGLISH


class Greeting(BaseModel):
    """The JSON that the greeting routes answer with."""

    message: str


@app.get("/")
async def index() -> Greeting:
    """Say hello to the world."""
    return Greeting(message="Hello, world!")


@app.get("/hello/{name}")
async def hello(
    name: Name,
    excited: Annotated[bool, Query(description="End with an exclamation mark")] = False,
) -> Greeting:
    """Greet someone: `name` comes from the path, `excited` from the query string."""
    return Greeting(message=f"Hello, {name}{'!' if excited else '.'}")


@app.post("/greetings")
async def greet(request: GreetingRequest) -> Greeting:
    """Greet someone in a language: both come from the JSON body."""
    return Greeting(message=f"{HELLO[request.language]}, {request.name}!")
