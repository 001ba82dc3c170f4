"""What every process of a service answers without a token: is it alive, is it ready, metrics."""

import time

import structlog
from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client import REGISTRY as PROCESS_REGISTRY
from sqlalchemy import text

from shared.metrics import ServiceCollector
from shared.runtime import Runtime

log = structlog.get_logger()

PUBLIC = frozenset({"/health/live", "/health/ready", "/metrics"})


def health_app(runtime: Runtime) -> FastAPI:
    """For a process without the api role: the public routes and nothing else."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(health_router(runtime))
    return app


def health_router(runtime: Runtime) -> APIRouter:
    """The routes of PUBLIC."""
    router = APIRouter(include_in_schema=False)
    registry = CollectorRegistry()
    registry.register(ServiceCollector(runtime.database, runtime.service.metrics))

    @router.get("/health/live")
    def live() -> JSONResponse:
        beat = runtime.listener_beat
        stuck = beat is not None and time.monotonic() - beat() > 120
        return JSONResponse({"live": not stuck}, status_code=503 if stuck else 200)

    @router.get("/health/ready")
    def ready() -> JSONResponse:
        """The database answers and the listener was not stopped. The broker's absence is no
        reason: the outbox absorbs it."""
        try:
            with runtime.database.read() as session:
                session.execute(text("select 1 from schema_version"))
        except Exception as error:
            log.warning("not_ready", error=str(error)[:200])
            return JSONResponse({"ready": False, "why": "database"}, status_code=503)
        if runtime.stopped:
            return JSONResponse({"ready": False, "why": runtime.stopped}, status_code=503)
        return JSONResponse({"ready": True, "directory": runtime.directory.ready()})

    @router.get("/metrics")
    def metrics() -> Response:
        body = generate_latest(PROCESS_REGISTRY) + generate_latest(registry)
        return PlainTextResponse(body, media_type=CONTENT_TYPE_LATEST)

    return router
