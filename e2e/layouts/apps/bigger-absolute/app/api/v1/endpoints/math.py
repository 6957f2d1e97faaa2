from fastapi import APIRouter

router = APIRouter()


@router.get("/gcd")
def gcd(a: int, b: int) -> int:
    import math

    return math.gcd(a, b)
