class Config:
    currency = "EUR"
