from fastapi import APIRouter

router = APIRouter()


@router.get("/p")
def p():
    return "page"
