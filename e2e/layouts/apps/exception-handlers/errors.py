class OutOfStock(Exception):
    def __init__(self, item):
        super().__init__(item)
        self.item = item
