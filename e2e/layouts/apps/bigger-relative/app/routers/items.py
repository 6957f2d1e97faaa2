from fastapi import APIRouter, Depends, HTTPException

from ..dependencies import get_token_header

router = APIRouter(prefix="/items", tags=["items"], dependencies=[Depends(get_token_header)])
stock = {"plumbus": {"name": "Plumbus"}, "gun": {"name": "Portal Gun"}}


@router.get("/")
async def read_items():
    return stock


@router.get("/{item_id}")
async def read_item(item_id: str):
    if item_id not in stock:
        raise HTTPException(status_code=404, detail="Item not found")
    return {"name": stock[item_id]["name"], "item_id": item_id}
