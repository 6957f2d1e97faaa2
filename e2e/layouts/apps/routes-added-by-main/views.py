from instance import app


@app.get("/view")
def view():
    return "view"
