from fasthtml.common import *

web, route = fast_app(default_hdrs=False)


@route("/{name}/{n}")
def get(name: str, n: int):
    return Span(name * n)
