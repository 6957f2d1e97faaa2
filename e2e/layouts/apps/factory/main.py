from fastapi import FastAPI


def create_app() -> FastAPI:
    app = FastAPI()

    @app.get("/made")
    def made():
        return {"by": "factory"}

    return app
