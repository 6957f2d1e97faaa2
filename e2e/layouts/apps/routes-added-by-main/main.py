from instance import app
import views  # noqa: F401


@app.get("/main")
def main():
    return "main"
