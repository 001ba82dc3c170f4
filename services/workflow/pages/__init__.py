"""Pages of workflow: the desk, processes, the organisation, operations."""

from fastapi import APIRouter

router = APIRouter()
