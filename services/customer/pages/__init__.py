"""The customer service's pages."""

from fastapi import APIRouter

router = APIRouter()
