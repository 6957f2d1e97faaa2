from fastapi import APIRouter

router = APIRouter()
router.add_api_route("/b", lambda: "b")
