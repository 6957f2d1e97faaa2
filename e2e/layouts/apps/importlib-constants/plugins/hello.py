from fastapi import APIRouter

router = APIRouter()


@router.get("/hello")
def hello():
    return "from a plugin"
