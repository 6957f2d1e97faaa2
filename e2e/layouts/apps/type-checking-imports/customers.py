from dataclasses import dataclass

import orders


@dataclass
class Customer:
    id: int

    def orders(self):
        return orders.of(self)
