from fastapi import APIRouter, FastAPI

app = FastAPI(title="Nested", openapi_tags=[{"name": "deep", "description": "far down"}])
v1 = APIRouter(prefix="/v1")
users = APIRouter(prefix="/users", tags=["deep"])


@users.get("/{user_id}/posts/{post_id}", summary="A post", deprecated=True)
def post(user_id: int, post_id: int, full: bool = False):
    """One post of a user."""
    return {"user": user_id, "post": post_id, "full": full}


# The methods are a set, so its order decides which one names the operation.
@users.api_route("/any", methods=["GET", "PUT"], include_in_schema=False)
def anything():
    return "any"


v1.include_router(users)
app.include_router(v1)
app.include_router(v1, prefix="/latest", include_in_schema=False)
