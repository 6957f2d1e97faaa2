from fasthtml.common import FastHTML, Div, H1, Script, to_xml
from starlette.responses import JSONResponse

app = FastHTML(hdrs=(Script("window.a = 1"),), default_hdrs=False)


@app.route("/")
def home():
    return Div(H1("Hi", data_x="1"), hx_get="/part")


@app.get("/data")
def data(n: int = 1):
    return JSONResponse({"xml": to_xml(Div("x", id="a")), "n": n})
