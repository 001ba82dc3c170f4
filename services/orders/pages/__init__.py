"""The pages of orders: what staff see, and the forms they send. The API is beside, in api.py."""

from fastapi import APIRouter

from services.orders.pages import editing, orders, quotes

router = APIRouter()
router.include_router(editing.router)
router.include_router(orders.router)
router.include_router(quotes.router)
