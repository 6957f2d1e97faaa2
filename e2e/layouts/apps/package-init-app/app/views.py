from app import app


@app.get("/late")
def late():
    return "registered late"
