"""Pages of workflow: the desk, processes, the organisation, operations."""

from fastapi import APIRouter

from services.workflow.pages import desk, operations, organisation, processes

router = APIRouter()
for part in (desk, processes, organisation, operations):
    router.include_router(part.router)
