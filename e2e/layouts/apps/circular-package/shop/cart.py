from . import stock

CART: list[str] = []


def add(name: str) -> int:
    return len(CART) if stock.left(name) == 0 else len(CART) + 1
