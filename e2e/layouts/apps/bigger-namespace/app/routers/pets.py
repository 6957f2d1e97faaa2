from fastapi import APIRouter

from app.store import STORE

router = APIRouter(prefix="/pets")


@router.get("/{name}")
def pet(name: str):
    return {"name": name, "kind": STORE.get(name)}
