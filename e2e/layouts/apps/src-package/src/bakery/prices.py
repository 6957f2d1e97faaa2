from typing import Final

PRICES: Final = {"roll": 0.6, "bread": 4.2}
