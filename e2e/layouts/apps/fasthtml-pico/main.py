from fasthtml.common import *
from fasthtml.pico import *

app, rt = fast_app(default_hdrs=False)


@rt("/")
def get():
    return Container(Card(P("in a card"), header=H2("Title")), Grid(Div("a"), Div("b")))
