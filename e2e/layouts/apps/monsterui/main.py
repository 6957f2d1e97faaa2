from fasthtml.common import *
from monsterui.all import *

app, rt = fast_app(default_hdrs=False)


@rt("/")
def get():
    return Card(H3("Card"), Button("Go", cls=ButtonT.primary))
