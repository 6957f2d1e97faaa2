"""/orders"""

from typing import Annotated

from fastapi import APIRouter, Query, status

from models.common import Page
from models.orders import Order, OrderCreate, OrderFilter, OrderStatus
from routers.dependencies import Orders, PathId

router = APIRouter(prefix="/orders", tags=["orders"])


@router.get("")
async def list_orders(orders: Orders, wanted: Annotated[OrderFilter, Query()]) -> Page[Order]:
    """Orders, newest first."""
    return await orders.find(wanted)


@router.post("", status_code=status.HTTP_201_CREATED)
async def place_order(orders: Orders, new: OrderCreate) -> Order:
    """Order books. Either all of them are in stock, or nothing is ordered (409)."""
    return await orders.place(new)


@router.get("/{order_id}")
async def get_order(orders: Orders, order_id: PathId) -> Order:
    return await orders.get(order_id)


@router.post("/{order_id}/pay")
async def pay_order(orders: Orders, order_id: PathId) -> Order:
    return await orders.move(order_id, OrderStatus.PAID)


@router.post("/{order_id}/ship")
async def ship_order(orders: Orders, order_id: PathId) -> Order:
    return await orders.move(order_id, OrderStatus.SHIPPED)


@router.post("/{order_id}/cancel")
async def cancel_order(orders: Orders, order_id: PathId) -> Order:
    """The books go back on the shelf. A shipped order cannot be cancelled (409)."""
    return await orders.move(order_id, OrderStatus.CANCELLED)
