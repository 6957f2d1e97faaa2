from collections.abc import Iterator

from .items import Item


class Store:
    def __iter__(self) -> Iterator[Item]:
        yield Item("pen", 2)
        yield Item("ink", 7)
