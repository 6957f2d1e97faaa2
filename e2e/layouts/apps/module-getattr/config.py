VALUES = {"REGION": "eu", "ZONE": "eu-1"}


def __getattr__(name):
    try:
        return VALUES[name]
    except KeyError:
        raise AttributeError(name) from None
