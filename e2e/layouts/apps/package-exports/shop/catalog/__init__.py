from .items import Item
from .store import Store as Catalog

__all__ = ["Catalog", "Item"]
