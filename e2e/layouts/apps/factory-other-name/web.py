from fastapi import FastAPI


def _routes(api):
    @api.get("/r")
    def r():
        return 1


def build_api():
    api = FastAPI()
    _routes(api)
    return api
