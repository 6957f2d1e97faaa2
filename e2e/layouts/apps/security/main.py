import secrets
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Security
from fastapi.security import APIKeyHeader, HTTPBasic, HTTPBasicCredentials, OAuth2PasswordBearer

app = FastAPI()
basic = HTTPBasic()
key = APIKeyHeader(name="x-key", auto_error=False)
bearer = OAuth2PasswordBearer(tokenUrl="token")


@app.get("/basic")
def with_basic(who: Annotated[HTTPBasicCredentials, Depends(basic)]):
    if not secrets.compare_digest(who.password, "pw"):
        raise HTTPException(401, "wrong", {"WWW-Authenticate": "Basic"})
    return who.username


@app.get("/key")
def with_key(value: Annotated[str | None, Security(key)]):
    return value


@app.get("/me")
def me(token: Annotated[str, Depends(bearer)]):
    return token
