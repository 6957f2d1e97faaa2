from fastapi import APIRouter

from helpers import double

router = APIRouter()


@router.get("/double")
def read(n: int):
    return double(n)
