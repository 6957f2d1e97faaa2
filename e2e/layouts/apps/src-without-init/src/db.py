def load():
    return {"a": 1}
