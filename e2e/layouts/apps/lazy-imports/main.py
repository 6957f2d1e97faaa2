from fastapi import FastAPI

app = FastAPI()


@app.get("/report")
def report(n: int = 3):
    from reports.builder import build

    return build(n)


@app.get("/numbers")
def numbers():
    try:
        import numpy
    except ImportError:
        return "no numpy"
    return int(numpy.arange(3).sum())
