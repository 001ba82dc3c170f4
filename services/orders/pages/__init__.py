"""The pages of orders."""

from fastapi import APIRouter

router = APIRouter()
