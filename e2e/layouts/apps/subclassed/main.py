from fastapi import APIRouter, FastAPI


class Service(FastAPI):
    def __init__(self, name: str):
        super().__init__(title=name)
        self.include_router(self.routes_of(name))

    @staticmethod
    def routes_of(name: str) -> APIRouter:
        router = APIRouter()
        router.add_api_route("/name", lambda: name, methods=["GET"])
        return router


service = Service("counter")
