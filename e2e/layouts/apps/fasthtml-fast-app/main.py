from fasthtml.common import *

app, rt = fast_app(pico=False, live=False)
items = ["one"]


@rt("/")
def get():
    return Titled("List", Ul(*map(Li, items), id="list"), Form(Input(name="item"), hx_post="/add", hx_target="#list"))


@rt("/add")
def post(item: str):
    items.append(item)
    return Li(item)


@rt
def about(name: str = "you"):
    return P(f"about {name}", cls="note")


serve()
