from fastapi import APIRouter, Request

router = APIRouter()


@router.get("/currency")
def currency(request: Request):
    return request.app.state.config.currency
