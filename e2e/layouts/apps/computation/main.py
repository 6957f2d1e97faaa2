import itertools
from functools import cache
from statistics import median

from fastapi import FastAPI

app = FastAPI()


def primes():
    found = []
    for n in itertools.count(2):
        if all(n % p for p in itertools.takewhile(lambda p: p * p <= n, found)):
            found.append(n)
            yield n


@cache
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


@app.get("/primes/{n}")
def first(n: int):
    return list(itertools.islice(primes(), min(n, 500)))


@app.get("/fib/{n}")
def read(n: int):
    match n:
        case 0 | 1:
            return n
        case n if n > 300:
            return {"too": "large"}
        case _:
            return {"fib": fib(n), "median": median(fib(i) for i in range(n))}
