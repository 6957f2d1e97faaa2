from . import cart


def left(name: str) -> int:
    return 3 - cart.CART.count(name)
