from typing import NamedTuple


class Item(NamedTuple):
    name: str
    price: int
